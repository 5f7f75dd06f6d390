//! Known validators of configurations: who can say whether a configuration is right before a restart.
//! A table; running them is `host`'s.

use crate::policy::matches;

/// A program that validates a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validator {
    /// Names of units, with `*` and `?`.
    pub units: &'static [&'static str],
    /// The command; exit code 0 means valid.
    pub argv: &'static [&'static str],
    /// Where the configuration usually is.
    pub paths: &'static [&'static str],
}

/// Every validator that is known.
pub const VALIDATORS: &[Validator] = &[
    Validator { units: &["nginx.service"], argv: &["nginx", "-t", "-q"], paths: &["/etc/nginx"] },
    Validator { units: &["apache2.service"], argv: &["apache2ctl", "-t"], paths: &["/etc/apache2"] },
    Validator { units: &["httpd.service"], argv: &["httpd", "-t"], paths: &["/etc/httpd"] },
    Validator {
        units: &["haproxy.service"],
        argv: &["haproxy", "-c", "-q", "-f", "/etc/haproxy/haproxy.cfg"],
        paths: &["/etc/haproxy"],
    },
    Validator { units: &["ssh.service", "sshd.service"], argv: &["sshd", "-t"], paths: &["/etc/ssh"] },
    Validator { units: &["named.service", "bind9.service"], argv: &["named-checkconf"], paths: &["/etc/bind"] },
    Validator {
        units: &["postfix.service", "postfix@*.service"],
        argv: &["postfix", "check"],
        paths: &["/etc/postfix"],
    },
    Validator { units: &["dovecot.service"], argv: &["doveconf", "-n"], paths: &["/etc/dovecot"] },
    Validator {
        units: &["lighttpd.service"],
        argv: &["lighttpd", "-tt", "-f", "/etc/lighttpd/lighttpd.conf"],
        paths: &["/etc/lighttpd"],
    },
    Validator {
        units: &["dnsmasq.service"],
        argv: &["dnsmasq", "--test"],
        paths: &["/etc/dnsmasq.conf", "/etc/dnsmasq.d"],
    },
    Validator { units: &["knot.service"], argv: &["knotc", "conf-check"], paths: &["/etc/knot"] },
    Validator {
        units: &["caddy.service"],
        argv: &["caddy", "validate", "--config", "/etc/caddy/Caddyfile"],
        paths: &["/etc/caddy"],
    },
    Validator { units: &["opensmtpd.service"], argv: &["smtpd", "-n"], paths: &["/etc/smtpd.conf"] },
    Validator { units: &["php7.4-fpm.service"], argv: &["php-fpm7.4", "-t"], paths: &["/etc/php/7.4/fpm"] },
    Validator { units: &["php8.1-fpm.service"], argv: &["php-fpm8.1", "-t"], paths: &["/etc/php/8.1/fpm"] },
    Validator { units: &["php8.2-fpm.service"], argv: &["php-fpm8.2", "-t"], paths: &["/etc/php/8.2/fpm"] },
    Validator { units: &["php8.3-fpm.service"], argv: &["php-fpm8.3", "-t"], paths: &["/etc/php/8.3/fpm"] },
    Validator { units: &["php8.4-fpm.service"], argv: &["php-fpm8.4", "-t"], paths: &["/etc/php/8.4/fpm"] },
    Validator { units: &["php-fpm.service"], argv: &["php-fpm", "-t"], paths: &["/etc/php-fpm.d"] },
];

/// The validator of a unit, when one is known.
#[must_use]
pub fn for_unit(unit: &str) -> Option<&'static Validator> {
    VALIDATORS.iter().find(|validator| validator.units.iter().any(|pattern| matches(pattern, unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validators_are_found_by_unit_templates_included() {
        assert_eq!(for_unit("nginx.service").map(|validator| validator.argv[0]), Some("nginx"));
        assert_eq!(for_unit("postfix@-.service").map(|validator| validator.argv[0]), Some("postfix"));
        assert_eq!(for_unit("nginx-extra.service"), None);
    }
}
