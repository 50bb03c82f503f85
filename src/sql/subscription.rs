//! Subscriptions: pg_dump writes them so that nothing connects to a publisher when they are restored.

use super::statement::Statement;
use super::token::{Token, Tokens};

const CONNECTS: Statement = Statement::Refused("a subscription that connects to its publisher");

/// `CREATE SUBSCRIPTION name CONNECTION '…' PUBLICATION … WITH (connect = false, …)`; `tokens` stand behind the second word.
pub(super) fn create(tokens: Tokens<'_>) -> Statement {
    let mut tokens = tokens;
    while let Some(token) = tokens.next() {
        if token.is("with") && tokens.symbol(b'(') {
            return options(tokens);
        }
    }
    CONNECTS
}

fn options(mut tokens: Tokens<'_>) -> Statement {
    let mut connect = None;
    loop {
        let (Some(name), true, Some(value)) = (
            tokens.next().and_then(|token| token.identifier()),
            tokens.symbol(b'='),
            tokens.next(),
        ) else {
            return CONNECTS;
        };
        if name == "connect" {
            connect = value.identifier().or_else(|| value.literal());
        }
        match tokens.next() {
            Some(Token::Symbol(b',')) => {}
            Some(Token::Symbol(b')')) if tokens.at_end() => break,
            _ => return CONNECTS,
        }
    }
    match connect {
        Some(value) if value == "false" => Statement::Ordinary,
        _ => CONNECTS,
    }
}

/// `ALTER SUBSCRIPTION name OWNER TO role`; to enable or refresh one makes it connect.
pub(super) fn alter(mut tokens: Tokens<'_>) -> Statement {
    tokens.next();
    let is_owner = tokens.keywords(&["owner", "to"]) && tokens.next().is_some() && tokens.at_end();
    if is_owner {
        Statement::Privilege
    } else {
        CONNECTS
    }
}

#[cfg(test)]
mod tests {
    use super::super::statement::read;
    use super::*;

    #[test]
    fn only_those_that_stay_quiet() {
        for text in [
            "CREATE SUBSCRIPTION s CONNECTION 'host=x password=''y''' PUBLICATION p, \"P 2\" WITH (connect = false, slot_name = 's', streaming = 'parallel');",
            "COMMENT ON SUBSCRIPTION s IS 'x';",
        ] {
            assert_eq!(read(text.as_bytes()), Statement::Ordinary, "{text}");
        }
        assert_eq!(
            read(b"ALTER SUBSCRIPTION \"S\" OWNER TO app;"),
            Statement::Privilege
        );
        for text in [
            "CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p;",
            "CREATE SUBSCRIPTION s CONNECTION 'with (connect = false)' PUBLICATION p WITH (enabled = true);",
            "CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p WITH (connect = true);",
            "CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p WITH (connect = false, connect = true);",
            "ALTER SUBSCRIPTION s ENABLE;",
            "ALTER SUBSCRIPTION s REFRESH PUBLICATION;",
            "ALTER SUBSCRIPTION s CONNECTION 'host=y';",
        ] {
            assert_eq!(read(text.as_bytes()), CONNECTS, "{text}");
        }
    }
}
