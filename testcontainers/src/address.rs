//! The address of a server, taken apart as far as the tests need: an administrator's URL is turned into that of one
//! database. Everything else in it (user, password, parameters) stays as it is written.

/// The URL of a server, without the name of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// `postgres://user:password@host:port`
    server: String,
    /// What follows the `?`.
    parameters: Option<String>,
}

impl Address {
    /// Reads the URL of an administrator, such as `postgres://postgres:pw@127.0.0.1:5432/postgres` or
    /// `mysql://root:pw@127.0.0.1:3306`.
    pub(crate) fn read(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or("it is no URL: there is no :// in it")?;
        if !["postgres", "postgresql", "mysql", "mariadb"].contains(&scheme) {
            return Err(format!(
                "the scheme {scheme} is none of postgres and mysql (which is MariaDB's, too)"
            ));
        }
        let (rest, parameters) = match rest.split_once('?') {
            Some((rest, parameters)) => (rest, Some(parameters.to_owned())),
            None => (rest, None),
        };
        let authority = rest
            .split_once('/')
            .map_or(rest, |(authority, _)| authority);
        if authority.is_empty() {
            return Err("it names no server".to_owned());
        }
        Ok(Self {
            server: format!("{scheme}://{authority}"),
            parameters,
        })
    }

    /// The URL of a database on that server.
    pub(crate) fn of(&self, database: &str) -> String {
        let parameters = self.parameters.as_deref();
        let parameters = parameters.map_or_else(String::new, |text| format!("?{text}"));
        format!("{}/{database}{parameters}", self.server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> String {
        Address::read(url).unwrap().of("x")
    }

    #[test]
    fn the_database_is_put_in_whether_the_url_names_one_or_not() {
        for url in [
            "mysql://root:pw@h:3306",
            "mysql://root:pw@h:3306/",
            "mysql://root:pw@h:3306/mysql",
        ] {
            assert_eq!(of(url), "mysql://root:pw@h:3306/x");
        }
    }

    #[test]
    fn parameters_stay() {
        let url = "postgres://a:b%2Fc@[::1]:5432/postgres?sslmode=disable&host=/run/postgresql";
        assert_eq!(
            of(url),
            "postgres://a:b%2Fc@[::1]:5432/x?sslmode=disable&host=/run/postgresql"
        );
        assert_eq!(
            of("postgres://h?sslmode=disable"),
            "postgres://h/x?sslmode=disable"
        );
    }

    #[test]
    fn what_is_no_servers_url_is_refused_and_says_why() {
        for (url, why) in [
            ("127.0.0.1:3306", "no URL"),
            ("sqlite:///x", "the scheme sqlite"),
            ("mysql:///x", "no server"),
        ] {
            let error = Address::read(url).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
