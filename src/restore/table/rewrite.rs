//! A statement of the dump under other names.

use std::collections::HashMap;

use super::name::Name;
use super::part::{Names, Part};
use crate::sql::name::{quote_identifier, quote_literal};

/// New names of what is restored; what is not in it keeps its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Renames {
    /// Tables, sequences, indexes and statistics objects.
    pub(super) relations: HashMap<Name, Name>,
    /// Constraints that an index of the same name stands behind, by table.
    pub(super) constraints: HashMap<(Name, String), String>,
}

impl Renames {
    /// The name that something has after the restore.
    pub(super) fn of(&self, name: &Name) -> Name {
        self.relations.get(name).unwrap_or(name).clone()
    }

    /// A statement with its new names.
    pub(super) fn apply(&self, text: &str, part: &Part) -> String {
        let mut written = String::with_capacity(text.len());
        let mut from = 0;
        for span in &part.spans {
            let new = match &span.names {
                Names::Relation(name) => self.relations.get(name).map(Name::quoted),
                Names::Literal(name) => {
                    let new = self.relations.get(name);
                    new.map(|new| quote_literal(&new.quoted()))
                }
                Names::Index(name) => {
                    let new = self.relations.get(name);
                    new.map(|new| quote_identifier(&new.name))
                }
                Names::Constraint(table, name) => {
                    let new = self.constraints.get(&(table.clone(), name.clone()));
                    new.map(|new| quote_identifier(new))
                }
            };
            if let Some(new) = new {
                written.push_str(text.get(from..span.start).unwrap_or(""));
                written.push_str(&new);
                from = span.end;
            }
        }
        written.push_str(text.get(from..).unwrap_or(""));
        written
    }
}

#[cfg(test)]
mod tests {
    use super::super::statement::read;
    use super::*;

    fn renamed(text: &str) -> String {
        let name = |name| Name::new("s", name);
        let mut renames = Renames::default();
        for (old, new) in [
            ("t", "t'2"),
            ("q", "q\\2"),
            ("t_pkey", "t2_pkey"),
            ("i", "i 2"),
        ] {
            renames.relations.insert(name(old), name(new));
        }
        let key = (name("t"), "t_pkey".to_owned());
        renames.constraints.insert(key, "t2_pkey".to_owned());
        renames.apply(text, &read(text).expect("a part"))
    }

    #[test]
    fn names_are_replaced_and_nothing_else() {
        for (text, expected) in [
            (
                "CREATE TABLE s.t (a s.t DEFAULT nextval('s.q'::regclass), b text DEFAULT 's.t'::text);",
                r#"CREATE TABLE "s"."t'2" (a s.t DEFAULT nextval(E'"s"."q\\2"'::regclass), b text DEFAULT 's.t'::text);"#,
            ),
            (
                "ALTER TABLE ONLY s.t ADD CONSTRAINT t_pkey PRIMARY KEY (id);",
                r#"ALTER TABLE ONLY "s"."t'2" ADD CONSTRAINT "t2_pkey" PRIMARY KEY (id);"#,
            ),
            (
                "ALTER TABLE s.t CLUSTER ON t_pkey;",
                r#"ALTER TABLE "s"."t'2" CLUSTER ON "t2_pkey";"#,
            ),
            (
                "COMMENT ON CONSTRAINT i ON s.t IS 's.t';",
                r#"COMMENT ON CONSTRAINT i ON "s"."t'2" IS 's.t';"#,
            ),
            (
                "CREATE INDEX i ON s.t USING btree (s.t(i));",
                r#"CREATE INDEX "i 2" ON "s"."t'2" USING btree (s.t(i));"#,
            ),
            (
                "ALTER SEQUENCE s.q OWNED BY s.t.id;",
                r#"ALTER SEQUENCE "s"."q\2" OWNED BY "s"."t'2".id;"#,
            ),
            (
                "CREATE STATISTICS s.other ON a, b FROM s.t;",
                r#"CREATE STATISTICS s.other ON a, b FROM "s"."t'2";"#,
            ),
        ] {
            assert_eq!(renamed(text), expected);
        }
    }
}
