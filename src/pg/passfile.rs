//! libpq's password file: `host:port:database:user:password`, with `*` for any and backslash escapes.

/// What a password is wanted for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Host name or socket directory; libpq calls the default socket directory `localhost`.
    pub host: &'a str,
    /// Port.
    pub port: u16,
    /// Database.
    pub database: &'a str,
    /// User.
    pub user: &'a str,
}

/// The first line that fits, as libpq takes it.
pub fn lookup(text: &str, wanted: Wanted<'_>) -> Option<String> {
    let port = wanted.port.to_string();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| {
            let mut fields = fields(line);
            let (host, line_port, database, user) = (
                fields.next()?,
                fields.next()?,
                fields.next()?,
                fields.next()?,
            );
            let password = fields.next()?;
            let is_local = wanted.host.starts_with('/') && host == "localhost";
            let fits = |field: &str, value: &str| field == "*" || field == value;
            let all = (fits(&host, wanted.host) || is_local)
                && fits(&line_port, &port)
                && fits(&database, wanted.database)
                && fits(&user, wanted.user);
            all.then_some(password)
        })
}

fn fields(line: &str) -> impl Iterator<Item = String> {
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, fields.last_mut()) {
            (':', _) => fields.push(String::new()),
            ('\\', Some(field)) => field.extend(chars.next()),
            (other, Some(field)) => field.push(other),
            (_, None) => {}
        }
    }
    fields.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_fitting_line_wins() {
        let text = "# comment\nother:5432:*:app:no\ndb:5432:*:app:a\\:b\\\\c\ndb:*:*:*:later\nlocalhost:*:*:*:socket\n";
        let wanted = |host| Wanted {
            host,
            port: 5432,
            database: "postgres",
            user: "app",
        };
        assert_eq!(lookup(text, wanted("db")).as_deref(), Some("a:b\\c"));
        assert_eq!(
            lookup(text, wanted("/run/postgresql")).as_deref(),
            Some("socket")
        );
        assert_eq!(lookup(text, wanted("elsewhere")), None);
    }
}
