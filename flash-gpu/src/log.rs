use subprocess::end_of;

const KEPT: usize = 1 << 20;
const TAIL: usize = 16 * 1024;
const LEFT_OUT: &str = "[what came before is left out]\n";

/// The last part of what a script printed.
#[derive(Debug, Default)]
pub(crate) struct Log {
    text: String,
    is_cut: bool,
}

impl Log {
    pub(crate) fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
        if self.text.len() > 2 * KEPT {
            self.cut();
        }
    }

    /// At least the last megabyte was kept; now, no more than that.
    fn cut(&mut self) {
        self.text = end_of(&self.text, KEPT).to_owned();
        self.is_cut = true;
    }

    /// The last megabyte.
    pub(crate) fn text(&mut self) -> String {
        if self.text.len() > KEPT {
            self.cut();
        }
        if self.is_cut {
            format!("{LEFT_OUT}{}", self.text)
        } else {
            self.text.clone()
        }
    }

    /// The last 16 KiB.
    pub(crate) fn tail(&self) -> String {
        end_of(&self.text, TAIL).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept() {
        let mut log = Log::default();
        log.push("one");
        assert_eq!((log.text(), log.tail()), ("one\n".into(), "one\n".into()));
        let line = "ä".repeat(500);
        for _ in 0..3_000 {
            log.push(&line);
        }
        log.push("last");
        assert!(log.tail().len() <= TAIL && log.tail().ends_with("\nlast\n"));
        let text = log.text();
        assert!(text.len() <= KEPT + LEFT_OUT.len() && text.starts_with(LEFT_OUT));
        assert!(text.ends_with("\nlast\n"));
    }
}
