//! Which relation a statement of a dump is about, what it does to it, and where it writes names.
//!
//! pg_dump writes every relation with its schema, and one statement for one thing. What is not read here is not about a
//! table, and is not run. Names are replaced where the grammar has a relation, an index or a constraint, and in literals
//! that are cast to regclass; nowhere else, because elsewhere `a.b` may be a function, a type or a column.

use super::name::Name;
use super::part::{Kind, Names, Part, Span, Subject};
use crate::sql::token::{Token, Tokens};

/// Reads a statement; None where it is about no relation, or not as pg_dump writes it.
pub(super) fn read(text: &str) -> Option<Part> {
    let mut reader = Reader {
        tokens: Tokens::new(text.as_bytes()),
        spans: Vec::new(),
    };
    let first = reader.tokens.next()?;
    let (kind, on) = if first.is("create") {
        reader.create()
    } else if first.is("alter") {
        reader.alter()
    } else if first.is("comment") {
        reader.comment()
    } else if first.is("security") {
        reader.label()
    } else if first.is("grant") || first.is("revoke") {
        reader.grant()
    } else if first.is("insert") && reader.tokens.keyword("into") {
        reader.relation().map(|name| (Kind::Insert, name))
    } else {
        None
    }?;
    let mut spans = reader.spans;
    let readable = literals(text, &mut spans);
    spans.sort_by_key(|span| span.start);
    Some(Part {
        kind,
        on,
        spans,
        readable,
    })
}

/// Finds `'schema.name'::regclass`. Whether the whole text could be read.
fn literals(text: &str, spans: &mut Vec<Span>) -> bool {
    let mut tokens = Tokens::new(text.as_bytes());
    while let Some(token) = tokens.next() {
        let start = tokens.start();
        let end = tokens.offset();
        match token {
            Token::Opaque => return false,
            Token::Literal(_) => {}
            _ => continue,
        }
        let is_regclass = tokens.symbol(b':') && tokens.symbol(b':') && tokens.keyword("regclass");
        let name = token.literal().filter(|_| is_regclass).and_then(|literal| {
            let mut tokens = Tokens::new(literal.as_bytes());
            let (schema, name) = tokens.qualified_name()?;
            (tokens.peek().is_none()).then_some(Name::new(schema?, name))
        });
        spans.extend(name.map(|name| Span {
            start,
            end,
            names: Names::Literal(name),
        }));
    }
    true
}

struct Reader<'a> {
    tokens: Tokens<'a>,
    spans: Vec<Span>,
}

type Found = Option<(Kind, Name)>;

impl Reader<'_> {
    /// `schema.name`
    fn relation(&mut self) -> Option<Name> {
        let schema = self.tokens.next()?.identifier()?;
        let start = self.tokens.start();
        if !self.tokens.symbol(b'.') {
            return None;
        }
        let name = Name::new(schema, self.tokens.next()?.identifier()?);
        self.spans.push(Span {
            start,
            end: self.tokens.offset(),
            names: Names::Relation(name.clone()),
        });
        Some(name)
    }

    fn bare(&mut self) -> Option<(String, usize, usize)> {
        let name = self.tokens.next()?.identifier()?;
        Some((name, self.tokens.start(), self.tokens.offset()))
    }

    fn index_of(&mut self, table: &Name) -> Option<String> {
        let (name, start, end) = self.bare()?;
        self.spans.push(Span {
            start,
            end,
            names: Names::Index(Name::new(&table.schema, &name)),
        });
        Some(name)
    }

    fn constraint_at(
        &mut self,
        table: &Name,
        (name, start, end): (String, usize, usize),
    ) -> String {
        self.spans.push(Span {
            start,
            end,
            names: Names::Constraint(table.clone(), name.clone()),
        });
        name
    }

    /// Goes behind the next `keyword` outside of parentheses.
    fn behind(&mut self, keyword: &str) -> Option<()> {
        let mut depth = 0usize;
        loop {
            match self.tokens.next()? {
                Token::Symbol(b'(') => depth += 1,
                Token::Symbol(b')') => depth = depth.saturating_sub(1),
                token if depth == 0 && token.is(keyword) => return Some(()),
                _ => {}
            }
        }
    }

    fn create(&mut self) -> Found {
        let tokens = &mut self.tokens;
        if tokens.keywords(&["foreign", "table"]) {
            return Some((Kind::ForeignTable, self.relation()?));
        }
        if tokens.keyword("sequence") || tokens.keywords(&["unlogged", "sequence"]) {
            return Some((Kind::Sequence, self.relation()?));
        }
        if tokens.keyword("table") || tokens.keywords(&["unlogged", "table"]) {
            return self.create_table();
        }
        if tokens.keyword("index") || tokens.keywords(&["unique", "index"]) {
            let index = self.bare()?;
            if !self.tokens.keyword("on") {
                return None;
            }
            self.tokens.keyword("only");
            let table = self.relation()?;
            let (name, start, end) = index;
            self.spans.push(Span {
                start,
                end,
                names: Names::Index(Name::new(&table.schema, &name)),
            });
            return Some((Kind::Index(name), table));
        }
        if tokens.keyword("statistics") {
            let name = self.relation()?;
            self.behind("from")?;
            return Some((Kind::Statistics(self.relation()?), name));
        }
        let trigger = tokens.keyword("trigger") || tokens.keywords(&["constraint", "trigger"]);
        let policy = !trigger && tokens.keyword("policy");
        let rule = !trigger && !policy && tokens.keyword("rule");
        if !trigger && !policy && !rule {
            return None;
        }
        let name = tokens.next()?.identifier()?;
        self.behind("on")?;
        if rule {
            self.behind("to")?;
            return Some((Kind::Rule(name), self.relation()?));
        }
        let kind = if trigger { Kind::Trigger } else { Kind::Policy };
        Some((kind(name), self.relation()?))
    }

    fn create_table(&mut self) -> Found {
        let table = self.relation()?;
        let (mut partitioned, mut parents, mut depth) = (false, Vec::new(), 0usize);
        while let Some(token) = self.tokens.next() {
            match token {
                Token::Symbol(b'(') => depth += 1,
                Token::Symbol(b')') => depth = depth.saturating_sub(1),
                token if depth > 0 || !(token.is("inherits") || token.is("partition")) => {}
                token if token.is("partition") => partitioned = self.tokens.keyword("by"),
                _ => {
                    self.tokens.symbol(b'(');
                    parents.push(self.relation()?);
                    while self.tokens.symbol(b',') {
                        parents.push(self.relation()?);
                    }
                    self.tokens.symbol(b')');
                }
            }
        }
        let kind = Kind::Table {
            partitioned,
            parents,
        };
        Some((kind, table))
    }

    fn alter(&mut self) -> Found {
        let tokens = &mut self.tokens;
        if tokens.keyword("table") {
            tokens.keyword("only");
            let table = self.relation()?;
            return Some((self.alter_table(&table)?, table));
        }
        if tokens.keyword("sequence") {
            let name = self.relation()?;
            if self.tokens.keywords(&["owned", "by"]) {
                return Some((Kind::OwnedBy(self.relation()?), name));
            }
            return Some((self.owner().unwrap_or(Kind::Setting), name));
        }
        if tokens.keyword("index") {
            let name = self.relation()?;
            if self.tokens.keywords(&["attach", "partition"]) {
                return Some((Kind::AttachIndex(self.relation()?), name));
            }
            return Some((Kind::IndexSetting, name));
        }
        if tokens.keyword("statistics") {
            let name = self.relation()?;
            return Some((self.owner().unwrap_or(Kind::IndexSetting), name));
        }
        if tokens.keyword("publication") {
            let name = tokens.next()?.identifier()?;
            if !tokens.keywords(&["add", "table"]) {
                return None;
            }
            tokens.keyword("only");
            return Some((Kind::Publication(name), self.relation()?));
        }
        None
    }

    fn owner(&mut self) -> Option<Kind> {
        if !self.tokens.keywords(&["owner", "to"]) {
            return None;
        }
        Some(Kind::Owner(self.tokens.next()?.identifier()?))
    }

    fn alter_table(&mut self, table: &Name) -> Option<Kind> {
        let tokens = &mut self.tokens;
        if tokens.keywords(&["attach", "partition"]) {
            return Some(Kind::Attach(self.relation()?));
        }
        if tokens.keywords(&["add", "constraint"]) {
            return self.add_constraint(table);
        }
        if tokens.keywords(&["cluster", "on"])
            || tokens.keywords(&["replica", "identity", "using", "index"])
        {
            self.index_of(table)?;
            return Some(Kind::IndexSetting);
        }
        if tokens.keywords(&["replica", "identity"]) {
            return Some(Kind::Setting);
        }
        if let Some(owner) = self.owner() {
            return Some(owner);
        }
        let tokens = &mut self.tokens;
        if tokens.keyword("alter") {
            tokens.keyword("column");
            tokens.next()?.identifier()?;
            if !tokens.keywords(&["add", "generated"]) {
                return Some(Kind::Setting);
            }
            // ALWAYS or BY DEFAULT, AS IDENTITY ( SEQUENCE NAME …
            while !tokens.symbol(b'(') {
                tokens.next()?;
            }
            if !tokens.keywords(&["sequence", "name"]) {
                return None;
            }
            return Some(Kind::Identity(self.relation()?));
        }
        // ENABLE [REPLICA | ALWAYS] | DISABLE | FORCE | NO FORCE
        let toggles = ["enable", "disable", "no", "force", "replica", "always"];
        let mut toggled = false;
        while toggles.iter().any(|word| tokens.keyword(word)) {
            toggled = true;
        }
        if !toggled {
            return tokens.keyword("set").then_some(Kind::Setting);
        }
        if tokens.keyword("row") {
            return Some(Kind::RowSecurity);
        }
        let trigger = tokens.keyword("trigger");
        if !trigger && !tokens.keyword("rule") {
            return None;
        }
        let name = tokens.next()?.identifier()?;
        Some(if trigger {
            Kind::Trigger(name)
        } else {
            Kind::Rule(name)
        })
    }

    fn add_constraint(&mut self, table: &Name) -> Option<Kind> {
        let at = self.bare()?;
        let tokens = &mut self.tokens;
        let key = ["primary", "unique", "exclude"]
            .iter()
            .any(|word| tokens.keyword(word));
        if key {
            return Some(Kind::Key(self.constraint_at(table, at)));
        }
        if !tokens.keywords(&["foreign", "key"]) {
            return Some(Kind::Check);
        }
        self.behind("references")?;
        let to = self.relation()?;
        Some(Kind::ForeignKey(at.0, to))
    }

    fn comment(&mut self) -> Found {
        let tokens = &mut self.tokens;
        if !tokens.keyword("on") {
            return None;
        }
        let relations = ["table", "index", "sequence", "statistics", "column"];
        if relations.iter().any(|word| tokens.keyword(word)) {
            return Some((Kind::Comment(Subject::Relation), self.relation()?));
        }
        let constraint = tokens.keyword("constraint");
        if !constraint
            && !["trigger", "rule", "policy"]
                .iter()
                .any(|word| tokens.keyword(word))
        {
            return None;
        }
        let at = self.bare()?;
        // A domain's constraint is none of ours.
        if !self.tokens.keyword("on") || self.tokens.keyword("domain") {
            return None;
        }
        let table = self.relation()?;
        if !constraint {
            return Some((Kind::Comment(Subject::Code), table));
        }
        let name = self.constraint_at(&table, at);
        Some((Kind::Comment(Subject::Constraint(name)), table))
    }

    fn label(&mut self) -> Found {
        self.behind("on")?;
        let tokens = &mut self.tokens;
        let relations = ["table", "sequence", "column"];
        if !relations.iter().any(|word| tokens.keyword(word)) {
            return None;
        }
        Some((Kind::Label, self.relation()?))
    }

    fn grant(&mut self) -> Found {
        self.behind("on")?;
        let tokens = &mut self.tokens;
        if !tokens.keyword("table") && !tokens.keyword("sequence") {
            return None;
        }
        let name = self.relation()?;
        let tokens = &mut self.tokens;
        if !tokens.keyword("to") && !tokens.keyword("from") {
            return None;
        }
        let mut roles = Vec::new();
        loop {
            let role = tokens.next()?;
            if !role.is("public") {
                roles.push(role.identifier()?);
            }
            if !tokens.symbol(b',') {
                return Some((Kind::Grant(roles), name));
            }
        }
    }
}

#[cfg(test)]
mod tests;
