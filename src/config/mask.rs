//! Passwords out of anything that is shown.

/// What stands for a password.
pub(super) const MASK: &str = "***";

/// The text with the password of every URL in it masked: `redis://user:secret@host` becomes `redis://user:***@host`.
pub(super) fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(scheme_end) = rest.find("://") {
        let (scheme, after) = rest.split_at(scheme_end + "://".len());
        masked.push_str(scheme);
        // A password may hold an unescaped '/' or '?' by mistake; rather too much is masked than too little.
        let end = after.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(after.len());
        let (url, next) = after.split_at(end);
        match url.rsplit_once('@') {
            Some((userinfo, host)) => {
                if let Some((user, _)) = userinfo.split_once(':') {
                    masked.push_str(user);
                    masked.push(':');
                }
                masked.push_str(MASK);
                masked.push('@');
                masked.push_str(&without_query(host));
            }
            None => masked.push_str(&without_query(url)),
        }
        rest = next;
    }
    masked.push_str(rest);
    masked
}

/// A query or a fragment may hold a password too, as other clients take it there.
fn without_query(url: &str) -> String {
    match url.find(['?', '#']).map(|at| url.split_at(at + 1)) {
        Some((shown, hidden)) if !hidden.is_empty() => format!("{shown}{MASK}"),
        _ => url.to_owned(),
    }
}

/// What was written where one URL should be, with all of it masked that may be a password: whatever is wrong with it, that
/// is most likely in its middle.
pub fn mask_url(text: &str) -> String {
    // A later "://" is no scheme's, and what stands before it may be a password.
    let scheme_end =
        text.find(':').filter(|at| text.get(*at..).is_some_and(|rest| rest.starts_with("://")));
    let (scheme, rest) = text.split_at(scheme_end.map_or(0, |at| at + "://".len()));
    if let Some((userinfo, host)) = rest.rsplit_once('@') {
        let (user, colon) = userinfo.split_once(':').map_or(("", ""), |(user, _)| (user, ":"));
        let host = without_query(host);
        return format!("{scheme}{user}{colon}{MASK}@{host}");
    }
    // Where the '@' was forgotten, a password stands in the place of a port.
    let is_port = |at: usize| {
        let (before, after) = rest.split_at(at + 1);
        let port = after.split([',', '/']).next().unwrap_or_default();
        // A colon within an IPv6 address is none of a port.
        let in_brackets = before.contains('[')
            && port.split_once(']').is_some_and(|(address, _)| {
                address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':')
            });
        in_brackets || port.bytes().all(|b| b.is_ascii_digit())
    };
    match rest.match_indices(':').find(|(at, _)| !is_port(*at)) {
        Some((at, _)) => format!("{scheme}{}:{MASK}", rest.get(..at).unwrap_or_default()),
        None => format!("{scheme}{}", without_query(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn passwords_are_masked_and_nothing_else() {
        let check = |text: &str, expected: &str| assert_eq!(mask(text), expected);

        check("redis://user:secret@host:6379/0", "redis://user:***@host:6379/0");
        check("redis://:secret@host", "redis://:***@host");
        check("redis://token@host", "redis://***@host");
        check("redis://:se/cr?et@host", "redis://:***@host");
        check("redis://:se@cret@host", "redis://:***@host");
        check("http://127.0.0.1:5000", "http://127.0.0.1:5000");
        check("redis://h?password=secret", "redis://h?***");
        check("redis://u:p@h/0#secret", "redis://u:***@h/0#***");
        check("a http://u:p@h b http://v:q@i", "a http://u:***@h b http://v:***@i");
        check("user:secret@host", "user:secret@host");
    }

    #[test]
    fn a_url_shows_no_password_however_wrong_it_is() {
        let check = |text: &str, expected: &str| assert_eq!(mask_url(text), expected);

        check("redis://user:secret@host:6379/0", "redis://user:***@host:6379/0");
        check("redis://:my secret@host", "redis://:***@host");
        check("redis://host?password=secret", "redis://host?***");
        check("redis://host:6379?password=secret", "redis://host:***");
        check("redis://:se@cret@host", "redis://:***@host");
        check("user:secret@host", "user:***@host");
        check("redis:/:secret@host", "redis:***@host");
        check("secret@host", "***@host");
        check("redis:secret://", "redis:***");
        check("redis://user:secret", "redis://user:***");
        check("redis://:se/cret", "redis://:***");
        check("redis://a:1,b:2/svc/1", "redis://a:1,b:2/svc/1");
        check("redis://[::1]:6379", "redis://[::1]:6379");
        check("127.0.0.1:6379", "127.0.0.1:6379");
    }

    proptest! {
        #[test]
        fn no_password_survives(password in "[a-zA-Z0-9/?#!$%&*+]{4,20}", user in "[A-Z]{0,3}") {
            let masked = mask(&format!("redis://{user}:{password}@host:6379"));

            prop_assert_eq!(masked, format!("redis://{user}:***@host:6379"));
        }
    }
}
