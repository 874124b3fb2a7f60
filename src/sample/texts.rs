//! The texts that are tried, by kind. The first of a kind is its simplest, and the kind is
//! given up when that one is refused.

/// Kinds in the order in which they are tried.
pub(super) const KINDS: &[&[&str]] = &[
    PLAIN,
    DATE_TIMES,
    DATES,
    TIMES,
    UUIDS,
    DIGITS,
    DECIMALS,
    ADDRESSES,
    URLS,
    EMAILS,
    HEX,
    HASHES,
    SEMVER,
    LOCAL_DATE_TIMES,
    SOCKETS,
    ADDRESSES_V6,
    NAMES,
    CURRENCIES,
    COUNTRIES,
    PHONES,
    WEEKDAYS,
    MONTHS,
    DURATIONS,
    SPANS,
    OFFSETS,
    ZONES,
    LANGUAGES,
    BASE64,
    YES_OR_NO,
];

/// Four that are easily told apart, then the odd ones.
const PLAIN: &[&str] = &[
    "a",
    "b",
    "c",
    "d",
    "two words",
    "Größe 名前 🎈",
    "",
    " ",
    "a-longer-text-of-forty-characters-in-all",
    "it's \"quoted\" \\ <b>",
    "line\nbreak",
];

const DATE_TIMES: &[&str] = &[
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:00:01Z",
    "2026-01-02T00:00:00Z",
    "2027-01-01T12:30:00Z",
    "2025-12-31T23:59:59.999999999Z",
    "2026-03-29T02:30:00+01:00",
    "1969-12-31T23:59:59Z",
    "9999-12-31T23:59:59Z",
];

const DATES: &[&str] = &[
    "2026-01-01",
    "2026-01-02",
    "2026-02-01",
    "2027-01-01",
    "2024-02-29",
    "2025-12-31",
    "1969-12-31",
    "9999-12-31",
];

const TIMES: &[&str] = &[
    "00:00:00",
    "00:00:01",
    "01:00:00",
    "12:30:00",
    "23:59:59.999999999",
];

const UUIDS: &[&str] = &[
    "00000000-0000-4000-8000-000000000001",
    "00000000-0000-4000-8000-000000000002",
    "00000000-0000-4000-8000-000000000003",
    "00000000-0000-4000-8000-000000000004",
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
];

const DIGITS: &[&str] = &["0", "1", "2", "3", "10", "100", "-1", "9223372036854775807"];

const DECIMALS: &[&str] = &["0.00", "0.01", "1.00", "1.50", "100.00", "-0.01"];

const ADDRESSES: &[&str] = &[
    "127.0.0.1",
    "10.0.0.1",
    "10.0.0.2",
    "192.0.2.1",
    "0.0.0.0",
    "255.255.255.255",
];

const URLS: &[&str] = &[
    "https://a.example/",
    "https://b.example/",
    "https://a.example/b?c=d#e",
    "http://localhost:8080/",
];

const EMAILS: &[&str] = &[
    "a@example.com",
    "b@example.com",
    "c@example.com",
    "first.last+tag@sub.example.com",
];

const HEX: &[&str] = &["00", "01", "02", "0a", "ff", "deadbeef"];

const HASHES: &[&str] = &[
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000001",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

const SEMVER: &[&str] = &["0.1.0", "0.1.1", "0.2.0", "1.0.0", "2.0.0-rc.1+build"];

const LOCAL_DATE_TIMES: &[&str] = &[
    "2026-01-01T00:00:00",
    "2026-01-01T00:00:01",
    "2026-01-02T00:00:00",
    "2027-01-01T12:30:00",
];

const SOCKETS: &[&str] = &[
    "127.0.0.1:80",
    "127.0.0.1:81",
    "10.0.0.1:80",
    "10.0.0.2:65535",
];

const ADDRESSES_V6: &[&str] = &["::1", "2001:db8::1", "2001:db8::2", "::"];

/// Longer than what a least length asks for, and of letters only.
const NAMES: &[&str] = &[
    "abcdefghijkl",
    "bcdefghijklm",
    "cdefghijklmn",
    "defghijklmno",
];

const CURRENCIES: &[&str] = &["EUR", "USD", "GBP", "JPY"];

const COUNTRIES: &[&str] = &["DE", "US", "GB", "JP"];

const PHONES: &[&str] = &["+4930123456", "+4930123457", "+12025550100"];

const WEEKDAYS: &[&str] = &["Mon", "Tue", "Wed", "Sun"];

const MONTHS: &[&str] = &["January", "February", "March", "December"];

const DURATIONS: &[&str] = &["1s", "2s", "1m", "1h"];

const SPANS: &[&str] = &["PT1S", "PT2S", "PT1H", "P1D"];

const OFFSETS: &[&str] = &["+00:00", "+01:00", "-05:00"];

const ZONES: &[&str] = &["UTC", "Europe/Berlin", "America/New_York"];

const LANGUAGES: &[&str] = &["en-US", "de-DE", "ja-JP"];

const BASE64: &[&str] = &["YQ==", "Yg==", "AAAA"];

const YES_OR_NO: &[&str] = &["true", "false"];
