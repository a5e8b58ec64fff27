//! Lines of results as they come: a header, then a line for each system and run. Pure.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::System;

/// A table of text with named columns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Cells, as many in each row as there are columns.
    pub rows: Vec<Vec<String>>,
}

impl Rows {
    /// Reads tab-separated lines, the first of which is the header.
    ///
    /// # Errors
    /// A line has more or fewer cells than the header.
    pub fn parse(text: &str) -> Result<Self> {
        let split = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
        let mut lines = text.lines();
        let columns = split(lines.next().context("no results were written")?);
        let rows: Vec<_> = lines.map(split).collect();
        for row in &rows {
            ensure!(row.len() == columns.len(), "{} cells under {} columns: {row:?}", row.len(), columns.len());
        }
        Ok(Self { columns, rows })
    }

    /// Adds the rows of another run with the same columns.
    pub fn append(&mut self, other: Self) {
        if self.columns.is_empty() {
            self.columns = other.columns;
        }
        self.rows.extend(other.rows);
    }

    /// Rewrites the cells of a column.
    pub fn rename(&mut self, column: &str, f: impl Fn(&str) -> String) {
        let Some(index) = self.index(column) else { return };
        for row in &mut self.rows {
            row[index] = f(&row[index]);
        }
    }

    fn index(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name == column)
    }

    fn cell<'a>(&self, row: &'a [String], column: &str) -> Option<&'a str> {
        row.get(self.index(column)?).map(String::as_str)
    }

    /// Figures of `column` in the rows of a system for which all of `where_` holds, in the order of the runs. Rows whose
    /// output was not verified have none.
    pub fn figures(&self, system: System, column: &str, where_: &[(&str, &str)]) -> Vec<f64> {
        let name = system.to_string();
        let wanted = |row: &&Vec<String>| {
            self.cell(row, "sut") == Some(&name)
                && self.cell(row, "verified").is_none_or(|verified| verified == "ok")
                && where_.iter().all(|(column, value)| self.cell(row, column) == Some(value))
        };
        self.rows.iter().filter(wanted).filter_map(|row| self.cell(row, column)?.parse().ok()).collect()
    }

    /// The median of [`Rows::figures`]: of an even number of runs, the mean of the middle two.
    pub fn median(&self, system: System, column: &str, where_: &[(&str, &str)]) -> Option<f64> {
        let mut values = self.figures(system, column, where_);
        values.sort_by(f64::total_cmp);
        let upper = values.get(values.len() / 2)?;
        let lower = values.get((values.len() - 1) / 2)?;
        Some((lower + upper) / 2.0)
    }

    /// The different cells of a column, in the order they first come.
    pub fn distinct(&self, column: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for cell in self.rows.iter().filter_map(|row| self.cell(row, column)) {
            if !found.iter().any(|seen| seen == cell) {
                found.push(cell.to_owned());
            }
        }
        found
    }

    /// Rows that are not verified.
    pub fn failures(&self) -> usize {
        self.rows.iter().filter(|row| self.cell(row, "verified").is_some_and(|verified| verified != "ok")).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "sut\tms\tp50\tverified\nBeacon\t5\t3\tok\nBeacon\t5\t9\tFAIL\nBeacon\t5\t4\tok\n\
                        Beacon\t5\t\tfailed: it ended\nBeacon\t10\t7\tok\nBeacon\t5\t5\tok\n";

    #[test]
    fn only_verified_rows_count() {
        let rows = Rows::parse(TEXT).expect("well formed");
        assert_eq!(rows.figures(System::Beacon, "p50", &[("ms", "5")]), [3.0, 4.0, 5.0]);
        assert_eq!(rows.median(System::Beacon, "p50", &[("ms", "5")]), Some(4.0));
        assert_eq!(rows.median(System::Plain, "p50", &[]), None);
        assert_eq!(rows.median(System::Beacon, "p50", &[]), Some(4.5), "of 3, 4, 5 and 7");
        assert_eq!((rows.failures(), rows.distinct("ms")), (2, vec!["5".to_owned(), "10".to_owned()]));
    }

    #[test]
    fn a_broken_line_is_an_error() {
        assert!(Rows::parse("a\tb\n1\n").expect_err("one cell").to_string().contains("1 cells under 2 columns"));
    }
}
