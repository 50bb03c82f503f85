//! Ways in which a dump's text loses something and stays a dump.

/// A dump's text to be spoilt. Every edit panics where it finds nothing to do.
#[derive(Clone)]
pub(super) struct Dump(pub(super) String);

const DATABASE_END: &str = "-- PostgreSQL database dump complete\n";

impl Dump {
    fn find(&self, what: &str) -> usize {
        self.0
            .find(what)
            .unwrap_or_else(|| panic!("{what:?} is not in the dump"))
    }

    /// Without the text from here to there.
    pub(super) fn without_from(mut self, from: &str, to: &str) -> Self {
        let begin = self.find(from);
        let end = begin + self.0[begin..].find(to).unwrap() + to.len();
        self.0.replace_range(begin..end, "");
        self
    }

    /// Without the statement that begins so.
    pub(super) fn without(self, statement: &str) -> Self {
        self.without_from(statement, ";\n")
    }

    /// Without all lines that hold this.
    pub(super) fn without_lines(self, what: &str) -> Self {
        self.find(what);
        let kept = self
            .0
            .split_inclusive('\n')
            .filter(|line| !line.contains(what));
        Self(kept.collect())
    }

    pub(super) fn with(self, what: &str, instead: &str) -> Self {
        self.find(what);
        Self(self.0.replacen(what, instead, 1))
    }

    /// With other rows of a table.
    pub(super) fn with_rows(
        mut self,
        table: &str,
        change: impl Fn(Vec<&str>) -> Vec<String>,
    ) -> Self {
        let copy = self.find(&format!("COPY public.{table} ("));
        let begin = copy + self.0[copy..].find('\n').unwrap() + 1;
        let end = begin + self.0[begin..].find("\\.\n").unwrap();
        let rows = change(self.0[begin..end].lines().collect());
        let rows: String = rows.iter().map(|row| format!("{row}\n")).collect();
        self.0.replace_range(begin..end, &rows);
        self
    }

    /// The rows of a table.
    pub(super) fn rows(&self, table: &str) -> Vec<String> {
        let begin = &self.0[self.find(&format!("COPY public.{table} ("))..];
        let rows = begin.lines().skip(1).take_while(|line| *line != "\\.");
        rows.map(str::to_owned).collect()
    }

    /// Cut behind this.
    pub(super) fn cut_behind(mut self, what: &str) -> Self {
        let end = self.find(what) + what.len();
        self.0.truncate(end);
        self
    }

    /// With the end of a dump behind its last row, as if nothing were missing.
    pub(super) fn with_forged_end(mut self) -> Self {
        self.0.push_str(&format!(
            "\\.\n\n--\n{DATABASE_END}--\n\n--\n-- PostgreSQL database cluster dump complete\n--\n\n"
        ));
        self
    }

    /// Without a database's section.
    pub(super) fn without_database(self, name: &str) -> Self {
        self.without_lines(&format!("DROP DATABASE IF EXISTS {name};"))
            .without_section(&format!("-- Database \"{name}\" dump"))
    }

    /// Without what begins so, to the end of the database and the line that lifts its restriction; or to the end of all.
    fn without_section(mut self, begin: &str) -> Self {
        let begin = self.find(begin);
        let mut end = self.0.len();
        if let Some(length) = self.0[begin..].find(DATABASE_END) {
            end = begin + length + DATABASE_END.len();
            let lifted = self.0[end..].find("\\unrestrict ").unwrap() + end;
            end = lifted + self.0[lifted..].find('\n').unwrap() + 1;
        }
        self.0.replace_range(begin..end, "");
        self
    }

    /// What can be restored into a server that has its own superuser and databases.
    pub(super) fn without_system_databases(&self) -> String {
        let own = [
            "DROP ROLE IF EXISTS postgres;",
            "CREATE ROLE postgres;",
            "DROP DATABASE IF EXISTS postgres;",
            "DROP DATABASE IF EXISTS template1;",
        ];
        let mut text = self.0.clone();
        for begin in [
            "-- Database \"template1\" dump",
            "-- Database \"postgres\" dump",
        ] {
            if text.contains(begin) {
                text = Self(text).without_section(begin).0;
            }
        }
        let lines = text.split_inclusive('\n');
        lines
            .filter(|line| !own.contains(&line.trim_end()))
            .collect()
    }

    /// What a person would feed into one database in one transaction; none if there is nothing.
    pub(super) fn section(&self, name: &str) -> Option<String> {
        let begin = self.0.find(&format!("\n\\connect {name}\n"))?;
        let section = &self.0[begin..];
        let section = &section[..section.find(DATABASE_END).unwrap_or(section.len())];
        let fed = |line: &&str| {
            !line.starts_with("\\connect ")
                && !line.starts_with("ALTER DATABASE ")
                && !line.starts_with("\\restrict ")
                && !line.starts_with("\\unrestrict ")
        };
        Some(section.split_inclusive('\n').filter(fed).collect())
    }
}
