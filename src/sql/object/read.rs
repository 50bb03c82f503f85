//! From a statement to the objects it defines.

use super::signature::{arguments, until};
use super::{Kind, Object};
use crate::sql::name::quote_as_pg_dump;
use crate::sql::token::{Token, Tokens};

/// The objects that a statement defines, the one it is about first; none for any other statement. Only the forms that
/// pg_dump writes are known: one that is not read here is no object, and is kept as a statement.
pub fn read(text: &[u8]) -> Vec<Object> {
    let mut tokens = Tokens::new(text);
    let first = tokens.next();
    let is = |keyword| first.as_ref().is_some_and(|token| token.is(keyword));
    let read = if is("create") {
        create(tokens)
    } else if is("alter") {
        alter(tokens)
    } else if is("grant") {
        grant(tokens)
    } else {
        None
    };
    read.unwrap_or_default()
}

fn one(kind: Kind, name: String) -> Option<Vec<Object>> {
    Some(vec![Object { kind, name }])
}

/// An identifier in the form of names here.
fn name(tokens: &mut Tokens<'_>) -> Option<String> {
    Some(quote_as_pg_dump(&tokens.next()?.identifier()?))
}

/// `schema.name`
fn qualified(tokens: &mut Tokens<'_>) -> Option<String> {
    let (schema, name) = tokens.qualified_name()?;
    let name = quote_as_pg_dump(&name);
    Some(match schema {
        Some(schema) => format!("{}.{name}", quote_as_pg_dump(&schema)),
        None => name,
    })
}

/// `name on schema.table`
fn on(name: &str, table: &str) -> String {
    format!("{name} on {table}")
}

/// What stands between CREATE and the words that say what is created, and says nothing of it.
const ADJECTIVES: [&str; 6] = [
    "unlogged",
    "unique",
    "trusted",
    "procedural",
    "recursive",
    "default",
];

/// The words after CREATE, what they create, and how its name is written.
const CREATED: &[(&[&str], Kind, Form)] = &[
    (&["role"], Kind::Role, Form::Name),
    (&["tablespace"], Kind::Tablespace, Form::Name),
    (&["schema"], Kind::Schema, Form::Name),
    (&["extension"], Kind::Extension, Form::Name),
    (&["language"], Kind::Language, Form::Name),
    (&["table"], Kind::Table, Form::Constrained(1)),
    (
        &["foreign", "table"],
        Kind::ForeignTable,
        Form::Constrained(1),
    ),
    (&["view"], Kind::View, Form::Qualified),
    (
        &["materialized", "view"],
        Kind::MaterializedView,
        Form::Qualified,
    ),
    (&["sequence"], Kind::Sequence, Form::Qualified),
    (&["index"], Kind::Index, Form::Index),
    (&["trigger"], Kind::Trigger, Form::OnTable("on")),
    (
        &["constraint", "trigger"],
        Kind::Trigger,
        Form::OnTable("on"),
    ),
    (&["rule"], Kind::Rule, Form::OnTable("to")),
    (&["policy"], Kind::Policy, Form::OnTable("on")),
    (&["function"], Kind::Function, Form::Signature),
    (&["procedure"], Kind::Procedure, Form::Signature),
    (&["aggregate"], Kind::Aggregate, Form::Signature),
    (&["type"], Kind::Type, Form::Qualified),
    (&["domain"], Kind::Domain, Form::Constrained(0)),
    (&["cast"], Kind::Cast, Form::Cast),
    (&["operator", "class"], Kind::OperatorClass, Form::Using),
    (&["operator", "family"], Kind::OperatorFamily, Form::Using),
    (&["operator"], Kind::Operator, Form::Operator),
    (&["collation"], Kind::Collation, Form::Qualified),
    (&["conversion"], Kind::Conversion, Form::Qualified),
    (
        &["text", "search", "configuration"],
        Kind::TextSearchConfiguration,
        Form::Qualified,
    ),
    (
        &["text", "search", "dictionary"],
        Kind::TextSearchDictionary,
        Form::Qualified,
    ),
    (
        &["text", "search", "parser"],
        Kind::TextSearchParser,
        Form::Qualified,
    ),
    (
        &["text", "search", "template"],
        Kind::TextSearchTemplate,
        Form::Qualified,
    ),
    (&["statistics"], Kind::Statistics, Form::Qualified),
    (&["event", "trigger"], Kind::EventTrigger, Form::Name),
    (&["publication"], Kind::Publication, Form::Name),
    (&["subscription"], Kind::Subscription, Form::Name),
    (
        &["foreign", "data", "wrapper"],
        Kind::ForeignDataWrapper,
        Form::Name,
    ),
    (&["server"], Kind::Server, Form::Name),
    (
        &["user", "mapping", "for"],
        Kind::UserMapping,
        Form::Mapping,
    ),
    (&["access", "method"], Kind::AccessMethod, Form::Name),
    (&["transform", "for"], Kind::Transform, Form::Transform),
];

/// How an object's name is written in its statement.
#[derive(Clone, Copy)]
enum Form {
    /// `name`
    Name,
    /// `schema.name`
    Qualified,
    /// `schema.name (…)`, with constraints inside that many parentheses.
    Constrained(usize),
    /// `name ON [ONLY] schema.table`: an index lives in its table's schema.
    Index,
    /// `name … ON schema.table`, or another word than ON.
    OnTable(&'static str),
    /// `schema.name(arguments)`
    Signature,
    /// `(type AS type)`
    Cast,
    /// `schema.name … USING method`
    Using,
    /// `schema.symbols (…, LEFTARG = type, RIGHTARG = type)`
    Operator,
    /// `role SERVER server`
    Mapping,
    /// `type LANGUAGE language`
    Transform,
}

fn create(mut tokens: Tokens<'_>) -> Option<Vec<Object>> {
    tokens.keywords(&["or", "replace"]);
    while ADJECTIVES.iter().any(|word| tokens.keyword(word)) {}
    let (_, kind, form) = CREATED.iter().find(|(words, ..)| tokens.keywords(words))?;
    tokens.keywords(&["if", "not", "exists"]);
    let name = match form {
        Form::Name => name(&mut tokens)?,
        Form::Qualified => qualified(&mut tokens)?,
        Form::Constrained(depth) => return constrained(*kind, tokens, *depth),
        Form::Index => index(tokens)?,
        Form::OnTable(word) => on_table(tokens, word)?,
        Form::Signature => signature(&mut tokens)?,
        Form::Cast => cast(tokens)?,
        Form::Using => {
            let name = qualified(&mut tokens)?;
            let mut rest = tokens.skip_while(|token| !token.is("using")).skip(1);
            let method = quote_as_pg_dump(&rest.next()?.identifier()?);
            format!("{name} using {method}")
        }
        Form::Operator => operator(tokens)?,
        Form::Mapping => {
            let role = role(&mut tokens)?;
            tokens.keyword("server").then_some(())?;
            format!("{role} on {}", name(&mut tokens)?)
        }
        Form::Transform => {
            let of = until(&mut tokens, |token| token.is("language"))?;
            tokens.keyword("language").then_some(())?;
            format!("{of} language {}", name(&mut tokens)?)
        }
    };
    // A view's own rule, as old versions write it where two views need each other.
    if *kind == Kind::Rule && name.starts_with("\"_RETURN\" ") {
        return None;
    }
    // Every database has it from the start; whether a dump creates it depends on what was done to it.
    if *kind == Kind::Schema && name == "public" {
        return None;
    }
    one(*kind, name)
}

/// A table or a domain, and the constraints in its definition.
fn constrained(kind: Kind, mut tokens: Tokens<'_>, wanted: usize) -> Option<Vec<Object>> {
    let table = qualified(&mut tokens)?;
    let mut objects = vec![Object::new(kind, table.clone())];
    let mut depth = 0usize;
    while let Some(token) = tokens.next() {
        match token {
            Token::Symbol(b'(') => depth += 1,
            Token::Symbol(b')') => depth = depth.saturating_sub(1),
            token if depth == wanted && token.is("constraint") => {
                let name = name(&mut tokens)?;
                if !tokens.keywords(&["not", "null"]) {
                    objects.push(Object::new(Kind::Constraint, on(&name, &table)));
                }
            }
            _ => {}
        }
    }
    Some(objects)
}

fn index(mut tokens: Tokens<'_>) -> Option<String> {
    let index = name(&mut tokens)?;
    tokens.keyword("on").then_some(())?;
    tokens.keyword("only");
    Some(match tokens.qualified_name()? {
        (Some(schema), _) => format!("{}.{index}", quote_as_pg_dump(&schema)),
        (None, _) => index,
    })
}

fn on_table(mut tokens: Tokens<'_>, word: &str) -> Option<String> {
    let name = name(&mut tokens)?;
    while !tokens.next()?.is(word) {}
    Some(on(&name, &qualified(&mut tokens)?))
}

fn signature(tokens: &mut Tokens<'_>) -> Option<String> {
    let name = qualified(tokens)?;
    tokens.symbol(b'(').then_some(())?;
    Some(format!("{name}({})", arguments(tokens)?))
}

fn cast(mut tokens: Tokens<'_>) -> Option<String> {
    tokens.symbol(b'(').then_some(())?;
    let from = until(&mut tokens, |token| token.is("as"))?;
    tokens.keyword("as").then_some(())?;
    let to = until(&mut tokens, |token| *token == Token::Symbol(b')'))?;
    Some(format!("{from} as {to}"))
}

fn operator(mut tokens: Tokens<'_>) -> Option<String> {
    let schema = name(&mut tokens)?;
    tokens.symbol(b'.').then_some(())?;
    let mut symbols = String::new();
    loop {
        match tokens.next()? {
            Token::Symbol(b'(') => break,
            Token::Symbol(symbol) => symbols.push(char::from(symbol)),
            _ => return None,
        }
    }
    let (mut left, mut right) = (None, None);
    while let Some(token) = tokens.next() {
        let side = match token {
            token if token.is("leftarg") => &mut left,
            token if token.is("rightarg") => &mut right,
            _ => continue,
        };
        tokens.symbol(b'=').then_some(())?;
        *side = Some(until(&mut tokens, |token| {
            matches!(token, Token::Symbol(b',' | b')'))
        })?);
    }
    let side = |side: Option<String>| side.unwrap_or_else(|| "none".to_owned());
    Some(format!(
        "{schema}.{symbols}({}, {})",
        side(left),
        side(right)
    ))
}

/// A role, or PUBLIC.
fn role(tokens: &mut Tokens<'_>) -> Option<String> {
    if tokens.keyword("public") {
        return Some("PUBLIC".to_owned());
    }
    name(tokens)
}

fn alter(mut tokens: Tokens<'_>) -> Option<Vec<Object>> {
    if tokens.keyword("role") {
        let role = format!("role {}", name(&mut tokens)?);
        return setting(tokens, role);
    }
    if tokens.keyword("database") {
        let database = format!("database {}", name(&mut tokens)?);
        return setting(tokens, database);
    }
    let is_domain = tokens.keyword("domain");
    if !is_domain {
        tokens.keyword("foreign");
        tokens.keyword("table").then_some(())?;
        tokens.keyword("only");
    }
    let table = qualified(&mut tokens)?;
    if tokens.keywords(&["add", "constraint"]) {
        let name = name(&mut tokens)?;
        if tokens.keywords(&["not", "null"]) {
            return None;
        }
        return one(Kind::Constraint, on(&name, &table));
    }
    if tokens.keywords(&["attach", "partition"]) {
        let partition = qualified(&mut tokens)?;
        return one(Kind::Partition, format!("{partition} of {table}"));
    }
    if tokens.keywords(&["enable", "row", "level", "security"]) {
        return one(Kind::RowSecurity, table);
    }
    tokens.keywords(&["alter", "column"]).then_some(())?;
    tokens.next()?;
    tokens.keywords(&["add", "generated"]).then_some(())?;
    while !tokens.next()?.is("sequence") {}
    tokens.keyword("name").then_some(())?;
    one(Kind::Sequence, qualified(&mut tokens)?)
}

fn setting(mut tokens: Tokens<'_>, mut of: String) -> Option<Vec<Object>> {
    if tokens.keywords(&["in", "database"]) {
        of = format!("{of} in database {}", name(&mut tokens)?);
    }
    tokens.keyword("set").then_some(())?;
    let mut setting = tokens.next()?.identifier()?.to_lowercase();
    if setting == "tablespace" {
        return None;
    }
    while tokens.symbol(b'.') {
        let rest = tokens.next()?.identifier()?.to_lowercase();
        setting = format!("{setting}.{rest}");
    }
    one(Kind::Setting, format!("{setting} of {of}"))
}

fn grant(mut tokens: Tokens<'_>) -> Option<Vec<Object>> {
    // GRANT role TO role, without an ON.
    let mut ahead = tokens.clone();
    if let Some(role) = name(&mut ahead)
        && ahead.keyword("to")
    {
        let member = name(&mut ahead)?;
        return one(Kind::Membership, format!("{member} in {role}"));
    }
    while !tokens.next()?.is("on") {}
    const OBJECTS: [(&str, Form); 7] = [
        ("table", Form::Qualified),
        ("sequence", Form::Qualified),
        ("schema", Form::Name),
        ("database", Form::Name),
        ("type", Form::Qualified),
        ("function", Form::Signature),
        ("procedure", Form::Signature),
    ];
    let (kind, form) = OBJECTS.iter().find(|(word, _)| tokens.keyword(word))?;
    let object = match form {
        Form::Name => name(&mut tokens)?,
        Form::Signature => signature(&mut tokens)?,
        _ => qualified(&mut tokens)?,
    };
    tokens.keyword("to").then_some(())?;
    one(
        Kind::Grant,
        format!("{} on {kind} {object}", role(&mut tokens)?),
    )
}

#[cfg(test)]
mod tests;
