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

    /// Host and port of the server, the port of its kind where the URL names none.
    pub(crate) fn host_and_port(url: &str, port: u16) -> Result<String, String> {
        let address = Self::read(url)?;
        if address.parameter("host") || address.parameter("socket") {
            return Err("the server is reached by a socket in the file system".to_owned());
        }
        let (_, host) = address.split();
        // The colons of an IPv6 address are within its brackets.
        let has_port = host
            .rsplit(']')
            .next()
            .is_some_and(|rest| rest.contains(':'));
        Ok(if has_port {
            host.to_owned()
        } else {
            format!("{host}:{port}")
        })
    }

    /// The URL with another host and port.
    pub(crate) fn through(url: &str, host_and_port: &str) -> Result<String, String> {
        let address = Self::read(url)?;
        let (before, host) = address.split();
        let after = url.split_at(before.len() + host.len()).1;
        Ok(format!("{before}{host_and_port}{after}"))
    }

    /// What stands before the host, and the host with its port.
    fn split(&self) -> (&str, &str) {
        let server = &self.server;
        let at = server.rfind('@').or_else(|| server.rfind('/'));
        server.split_at(at.map_or(0, |at| at + 1))
    }

    fn parameter(&self, name: &str) -> bool {
        let all = self.parameters.as_deref().unwrap_or_default().split('&');
        all.filter_map(|one| one.split_once('='))
            .any(|(n, _)| n == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_host_and_port_is_put_in_and_the_rest_stays() {
        for (url, at, through) in [
            (
                "postgres://a:b%2Fc@h:5433/x?sslmode=disable",
                "h:5433",
                "postgres://a:b%2Fc@127.0.0.1:1/x?sslmode=disable",
            ),
            ("mysql://h/x", "h:9", "mysql://127.0.0.1:1/x"),
            ("mysql://u@[::1]", "[::1]:9", "mysql://u@127.0.0.1:1"),
            ("mysql://u@[::1]:7/x", "[::1]:7", "mysql://u@127.0.0.1:1/x"),
        ] {
            assert_eq!(Address::host_and_port(url, 9).as_deref(), Ok(at));
            let replaced = Address::through(url, "127.0.0.1:1");
            assert_eq!(replaced.as_deref(), Ok(through));
        }
        let socket = "postgres://h/x?host=/run/postgresql";
        assert!(Address::host_and_port(socket, 9).is_err());
    }

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
