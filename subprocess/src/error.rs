use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

/// Why there is nothing to say about what a program did.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failed {
    /// It could not be started, or not be waited for.
    Start(io::Error),
    /// It printed more than was allowed, and was killed.
    TooLong,
    /// The caller cancelled, and it was killed.
    Cancelled,
    /// It took longer than this, and was killed.
    Deadline(Duration),
}

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(_) => formatter.write_str("the program cannot be run"),
            Self::TooLong => formatter.write_str("the program printed more than is allowed"),
            Self::Cancelled => formatter.write_str("cancelled"),
            Self::Deadline(after) => {
                write!(
                    formatter,
                    "the program did not end within {} s",
                    after.as_secs_f32()
                )
            }
        }
    }
}

impl StdError for Failed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Start(error) => Some(error),
            _ => None,
        }
    }
}
