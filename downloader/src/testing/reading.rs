//! A body, compared while it comes.

use std::fmt::Write as _;

use bytes::Bytes;
use futures::StreamExt as _;

use super::Violation;
use super::probe::{Probe, refused};
use crate::Body;

/// A body that is compared while it comes.
pub(super) struct Reading {
    body: Body,
    content: Bytes,
    position: usize,
    /// Where it may end at the earliest.
    least: usize,
    /// The largest piece so far.
    pub(super) largest: usize,
    asked: String,
}

/// Whether there is more of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    More,
    End,
}

impl Reading {
    pub(super) fn new(asked: String, body: Body, content: &Bytes, start: u64) -> Self {
        Self {
            body,
            content: content.clone(),
            position: start as usize,
            least: content.len(),
            largest: 0,
            asked,
        }
    }

    /// It need not go on to the content's end.
    pub(super) fn may_end_at(&mut self, position: u64) {
        let whole = self.content.len();
        self.least = usize::try_from(position).map_or(whole, |position| position.min(whole));
    }

    /// Takes one piece and compares it.
    pub(super) async fn advance(&mut self, probe: &Probe<'_>) -> Result<Step, Violation> {
        probe.doing(format!("{}; reading its body", self.asked));
        let whole = self.content.len();
        let expected = if self.least < whole {
            format!(
                "the content's bytes up to byte {} at least, and nothing else",
                self.least
            )
        } else {
            format!("the content's {whole} bytes to the end, and nothing else")
        };
        let piece = match self.body.next().await {
            Some(Ok(piece)) => piece,
            Some(Err(error)) => {
                let got = format!("at byte {}, {}", self.position, refused(&error));
                return probe.broken(expected, got);
            }
            None if self.position < self.least => {
                let got = format!(
                    "an end at byte {} of {whole}, without an error",
                    self.position
                );
                return probe.broken(expected, got);
            }
            None => return Ok(Step::End),
        };
        let rest = &self.content[self.position..];
        if !rest.starts_with(&piece) {
            let pairs = rest.iter().zip(&piece);
            let common = pairs.take_while(|(wanted, came)| wanted == came).count();
            return probe.broken(expected, self.difference(&piece, common));
        }
        self.position += piece.len();
        self.largest = self.largest.max(piece.len());
        Ok(Step::More)
    }

    fn difference(&self, piece: &Bytes, common: usize) -> String {
        let at = self.position + common;
        let Some(wanted) = self.content.get(at) else {
            return format!(
                "more than these, at least {} bytes",
                self.position + piece.len()
            );
        };
        let mut text = format!(
            "{:#04x} instead of {wanted:#04x} at byte {at}",
            piece[common]
        );
        // Contents have no period: a few bytes say where they are from.
        let clue = &piece[common..piece.len().min(common + 8)];
        if let Some(from) = self.content.windows(8).position(|window| window == clue) {
            let _ = write!(
                text,
                "; what comes there is the content from byte {from} on"
            );
        }
        text
    }
}
