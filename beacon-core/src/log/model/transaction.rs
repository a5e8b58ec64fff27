//! The order of a session's calls: begin, send, then commit or abort.

use std::fmt;

/// Where a session stands in its transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transaction {
    /// No transaction.
    #[default]
    None,
    /// Begun; sends are taken.
    Open,
    /// A commit was tried and nobody knows how it ended; only another commit can tell.
    InDoubt,
    /// A commit was refused; only an abort leads on.
    Refused,
}

/// A call out of order: a bug of the caller, nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misuse {
    call: &'static str,
    state: Transaction,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            Transaction::None => "no transaction is open; call begin first",
            Transaction::Open => "a transaction is open already; commit or abort it first",
            Transaction::InDoubt => "the outcome of the last commit is unknown; call commit until it is known",
            Transaction::Refused => "the last commit was refused; abort it first",
        };
        write!(f, "{} out of order: {state}", self.call)
    }
}

impl Transaction {
    /// Opens a transaction.
    pub fn begin(&mut self) -> Result<(), Misuse> {
        match self {
            Self::None => {
                *self = Self::Open;
                Ok(())
            }
            state => Err(Misuse { call: "begin", state: *state }),
        }
    }

    /// Whether a record may be added.
    pub fn check_send(&self) -> Result<(), Misuse> {
        match self {
            Self::Open => Ok(()),
            state => Err(Misuse { call: "send", state: *state }),
        }
    }

    /// Whether a commit may be tried, for the first time or again.
    pub fn check_commit(&self) -> Result<(), Misuse> {
        match self {
            Self::Open | Self::InDoubt => Ok(()),
            Self::None | Self::Refused => Err(Misuse { call: "commit", state: *self }),
        }
    }

    /// Drops the transaction; with none open there is nothing to do.
    pub fn abort(&mut self) -> Result<(), Misuse> {
        match self {
            Self::InDoubt => Err(Misuse { call: "abort", state: *self }),
            Self::None | Self::Open | Self::Refused => {
                *self = Self::None;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_in_doubt_takes_only_another_commit() {
        let mut transaction = Transaction::InDoubt;
        assert!(transaction.begin().is_err());
        assert!(transaction.check_send().is_err());
        assert!(transaction.abort().is_err());
        assert!(transaction.check_commit().is_ok());
    }

    #[test]
    fn a_refused_transaction_takes_only_an_abort() {
        let mut transaction = Transaction::Refused;
        assert!(transaction.check_send().is_err());
        assert!(transaction.check_commit().is_err(), "its records are gone, its offsets must not be committed alone");
        transaction.abort().expect("refused ones can be aborted");
        assert!(transaction.begin().is_ok());
    }

    #[test]
    fn calls_out_of_order_say_which_call_was_missing() {
        let mut transaction = Transaction::None;
        let error = transaction.check_send().expect_err("no transaction is open");
        assert_eq!(error.to_string(), "send out of order: no transaction is open; call begin first");
        transaction.begin().expect("none was open");
        assert!(transaction.begin().is_err());
        transaction.abort().expect("open ones can be aborted");
        assert_eq!(transaction, Transaction::None);
        assert!(transaction.abort().is_ok());
    }
}
