use std::fmt::Write as _;

/// How many lines of one kind a report shows; `--json` has them all.
const SHOWN: usize = 20;

/// Lines of a name and what there is to say about it, in two columns.
#[derive(Default)]
pub(crate) struct Table(Vec<(&'static str, String)>);

impl Table {
    pub(crate) fn row(&mut self, name: &'static str, text: impl Into<String>) -> &mut Self {
        self.0.push((name, text.into()));
        self
    }

    pub(crate) fn row_if(
        &mut self,
        condition: bool,
        name: &'static str,
        text: impl FnOnce() -> String,
    ) -> &mut Self {
        if condition {
            self.row(name, text());
        }
        self
    }

    /// A row for each, up to a limit.
    pub(crate) fn rows(
        &mut self,
        name: &'static str,
        texts: impl ExactSizeIterator<Item = String>,
    ) -> &mut Self {
        let length = texts.len();
        for text in texts.take(SHOWN) {
            self.row(name, text);
        }
        self.row_if(length > SHOWN, name, || {
            format!("… and {} more (--json lists all)", length - SHOWN)
        })
    }

    pub(crate) fn text(&self) -> String {
        let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut text = String::new();
        let mut above = "";
        for (name, value) in &self.0 {
            let shown = if *name == above { "" } else { name };
            let _ = writeln!(text, "{shown:width$}  {value}");
            above = name;
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_says_each_name_once() {
        let mut table = Table::default();
        table.row("kept", "a").row("kept", "b").row("removed", "c");
        assert_eq!(table.text(), "kept     a\n         b\nremoved  c\n");
    }

    #[test]
    fn a_long_list_is_cut() {
        let mut table = Table::default();
        table.rows("carry", (0..25).map(|number| number.to_string()));
        assert_eq!(table.text().lines().count(), SHOWN + 1);
        assert!(table.text().ends_with("… and 5 more (--json lists all)\n"));
    }
}
