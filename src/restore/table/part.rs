//! What a statement of a dump is, as far as tables are concerned.

use super::name::Name;

/// A statement about a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// What it does.
    pub(super) kind: Kind,
    /// The relation: a table, or a sequence, index or statistics object that may belong to one.
    pub(super) on: Name,
    /// The names in its text.
    pub(super) spans: Vec<Span>,
    /// Whether all of the text was read; names behind an unreadable place cannot be replaced.
    pub(super) readable: bool,
}

/// What a statement does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// CREATE TABLE
    Table {
        partitioned: bool,
        parents: Vec<Name>,
    },
    /// CREATE FOREIGN TABLE
    ForeignTable,
    /// CREATE SEQUENCE
    Sequence,
    /// ALTER SEQUENCE … OWNED BY, the table.
    OwnedBy(Name),
    /// OWNER TO, the role.
    Owner(String),
    /// ADD GENERATED … AS IDENTITY, the sequence.
    Identity(Name),
    /// A column's or the table's setting, a default included.
    Setting,
    /// ATTACH PARTITION, the partition.
    Attach(Name),
    /// PRIMARY KEY, UNIQUE or EXCLUDE, its name: an index has the same.
    Key(String),
    /// Another constraint of the table alone.
    Check,
    /// FOREIGN KEY: its name and the table it points to.
    ForeignKey(String, Name),
    /// CREATE INDEX, in the schema of its table.
    Index(String),
    /// ALTER INDEX … ATTACH PARTITION, the index.
    AttachIndex(Name),
    /// A setting of an index, or which index the table is clustered or replicated by.
    IndexSetting,
    /// CREATE STATISTICS, the table.
    Statistics(Name),
    /// ROW LEVEL SECURITY, on or forced.
    RowSecurity,
    /// CREATE TRIGGER, its name, or whether one fires.
    Trigger(String),
    /// CREATE RULE, its name, or whether it is used.
    Rule(String),
    /// CREATE POLICY, its name.
    Policy(String),
    /// COMMENT ON
    Comment(Subject),
    /// SECURITY LABEL
    Label,
    /// GRANT or REVOKE, the roles; PUBLIC is not among them.
    Grant(Vec<String>),
    /// ALTER PUBLICATION … ADD TABLE, its name.
    Publication(String),
    /// A row as a statement.
    Insert,
}

/// What a comment is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The relation or one of its columns.
    Relation,
    /// A constraint of it, its name.
    Constraint(String),
    /// A trigger, rule or policy of it.
    Code,
}

/// A name in a statement's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// First byte.
    pub(super) start: usize,
    /// First byte behind it.
    pub(super) end: usize,
    /// What it names, and so how it is written.
    pub(super) names: Names,
}

/// What a name names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// A relation, written with its schema.
    Relation(Name),
    /// A relation in a literal that is cast to regclass.
    Literal(Name),
    /// An index, written without its schema, which is its table's.
    Index(Name),
    /// A constraint of a table.
    Constraint(Name, String),
}
