//! Which names promise a secret.

/// Long words that give a secret away wherever they stand in a name, with `-`, `_`, `.` and the
/// like taken out: `x-api-key`, `userPassword`, `PHPSESSID`.
///
/// They hold the keys of signed URLs that OpenTelemetry lists for `url.query` (`AWSAccessKeyId`,
/// `Signature`, `sig`, `X-Goog-Signature`, `X-Amz-Signature`, `X-Amz-Credential`,
/// `X-Amz-Security-Token`); `sig` is among the short ones.
const ANYWHERE: [&str; 21] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "authkey",
    "authcode",
    "session",
    "sessid",
    "signature",
    "cookie",
    "authorization",
    "authorisation",
    "authentication",
    "authenticate",
    "credential",
];

/// Short words that are parts of innocent ones (`author`, `design`, `passenger`): they count only
/// as a whole word of the name.
const WHOLE: [&str; 7] = ["auth", "oauth", "sig", "pass", "sid", "jwt", "otp"];

/// A user's key of up to this many letters is treated as short too: `pin` must not hide `shipping`.
const SHORT: usize = 4;

/// Names whose values must not be stored.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    anywhere: Vec<String>,
    whole: Vec<String>,
}

impl Keys {
    /// The default names and `extra` ones; empty ones and those without a letter are ignored.
    pub(super) fn new<I, S>(extra: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let mut keys = Self {
            anywhere: ANYWHERE.map(str::to_owned).to_vec(),
            whole: WHOLE.map(str::to_owned).to_vec(),
        };
        for key in extra {
            let key = words(key.as_ref()).concat();
            match key.chars().count() {
                0 => {}
                1..=SHORT => keys.whole.push(key),
                _ => keys.anywhere.push(key),
            }
        }
        keys
    }

    /// Whether `name` promises a secret. The name is already percent-decoded.
    pub(super) fn is_secret(&self, name: &str) -> bool {
        let words = words(name);
        let joined = words.concat();
        self.anywhere
            .iter()
            .any(|key| joined.contains(key.as_str()))
            || self.whole.iter().any(|key| {
                joined == *key
                    || words
                        .iter()
                        .any(|word| word.trim_end_matches(char::is_numeric) == key)
            })
    }
}

/// The words of a name in lower case: `X-Amz-Sig`, `x_amz_sig` and `xAmzSig` have the same three.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before_is_small = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && before_is_small) {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        before_is_small = c.is_lowercase() || c.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::Keys;

    fn default_keys() -> Keys {
        Keys::new([""; 0])
    }

    #[test]
    fn secrets_in_every_spelling() {
        for name in [
            "password",
            "PASSWORD",
            "passwd",
            "pwd",
            "dbPwd",
            "user[password]",
            "new-password",
            "secret",
            "client_secret",
            "token",
            "access_token",
            "csrfToken",
            "id.token",
            "api_key",
            "api-key",
            "apikey",
            "X-API-Key",
            "apiKey",
            "auth",
            "x-auth",
            "auth_key",
            "authKey",
            "authorization",
            "Proxy-Authorization",
            "session",
            "session_id",
            "JSESSIONID",
            "PHPSESSID",
            "connect.sid",
            "sig",
            "x_sig",
            "signature",
            "AWSAccessKeyId",
            "Signature",
            "X-Goog-Signature",
            "X-Amz-Signature",
            "X-Amz-Credential",
            "X-Amz-Security-Token",
            "cookie",
            "Set-Cookie",
            "credentials",
            "private_key",
            "private key",
            "access.key",
            "pass",
            "pass2",
            "user_pass",
            "jwt",
            "otp",
            "oauth_verifier",
            "pass\0word",
            "p-a-s-s-w-o-r-d",
        ] {
            assert!(default_keys().is_secret(name), "{name}");
        }
    }

    #[test]
    fn innocent_names_stay_readable() {
        for name in [
            "",
            "-",
            "author",
            "authors",
            "co_author",
            "authority",
            "design",
            "designer",
            "assign",
            "assigned_to",
            "sign_up",
            "signal",
            "insight",
            "passenger",
            "compass",
            "bypass",
            "sidebar",
            "inside",
            "keyboard",
            "key",
            "monkey",
            "keyword",
            "q",
            "page",
            "X-Amz-Date",
            "X-Amz-SignedHeaders",
            "user-agent",
            "content-type",
            "id",
            "code",
        ] {
            assert!(!default_keys().is_secret(name), "{name}");
        }
    }

    #[test]
    fn the_users_own_keys() {
        let keys = Keys::new(["pin", "X-Tenant-Code", "Straße", "", "--"]);
        for name in [
            "pin",
            "PIN",
            "card_pin",
            "cardPin",
            "x_tenant_code",
            "xTenantCodeOld",
        ] {
            assert!(keys.is_secret(name), "{name}");
        }
        assert!(keys.is_secret("straße"));
        assert!(!keys.is_secret("shipping"), "a short key is a whole word");
        assert!(!keys.is_secret("q"), "an empty key matches nothing");
    }
}
