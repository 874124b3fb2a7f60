//! What HTTP is told: preconditions row by row, and problems as the texts that they are.

mod preconditions;
