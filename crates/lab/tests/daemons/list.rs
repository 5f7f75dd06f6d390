//! The daemons, where they run, and what is right for each: one table, and the exceptions with their reasons.

use anyhow::{Result, ensure};

use crate::deed::{Deed, Right};

/// Where a daemon is reached.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Port {
    /// On this port, which can be taken from it.
    Of(u16),
    /// Nobody can take its port, and why.
    None(&'static str),
}

impl Port {
    /// The port that can be taken from it.
    pub(crate) const fn number(self) -> Option<u16> {
        match self {
            Self::Of(port) => Some(port),
            Self::None(_) => None,
        }
    }
}

/// How its configuration is broken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// This line at the end of this file.
    Line(&'static str, &'static str),
    /// It starts with whatever its configuration holds, or has none; and why.
    None(&'static str),
}

use Fault::Line;
use Port::Of;

/// A daemon as its package ships it.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) unit: &'static str,
    /// The package that is installed once more.
    pub(crate) package: &'static str,
    pub(crate) port: Port,
    pub(crate) fault: Fault,
}

const fn d(unit: &'static str, package: &'static str, port: Port, fault: Fault) -> Daemon {
    Daemon { unit, package, port, fault }
}

/// A host and the daemons on it: those that want the same port are on different ones.
#[derive(Debug)]
pub(crate) struct Placement {
    pub(crate) name: &'static str,
    /// What an administrator of this host has set up, in shell.
    pub(crate) setup: &'static str,
    /// What runs beside them and suffers nothing.
    pub(crate) beside: &'static [&'static str],
    pub(crate) daemons: &'static [Daemon],
}

/// What is right for one daemon and otherwise for most.
pub(crate) struct Exception {
    pub(crate) unit: &'static str,
    pub(crate) deed: Deed,
    pub(crate) right: Right,
    pub(crate) reason: &'static str,
}

const NO_PORT: Port = Port::None("it listens on no port");
const GOES_ON: Port = Port::None("it goes on without its port");

pub(crate) const PLACEMENTS: &[Placement] = &[
    Placement {
        name: "web",
        setup: "",
        beside: &[],
        daemons: &[
            d("apache2.service", "apache2", Of(80), Line("/etc/apache2/apache2.conf", "Broken")),
            d("atd.service", "at", NO_PORT, Fault::None("it has no configuration")),
            d("cron.service", "cron", NO_PORT, Fault::None("a line that it does not understand is left out")),
            d("dovecot.service", "dovecot-core", Of(143), Line("/etc/dovecot/dovecot.conf", "broken {")),
            d(
                "mariadb.service",
                "mariadb-server",
                Of(3306),
                Line("/etc/mysql/mariadb.conf.d/50-server.cnf", "broken=1"),
            ),
            d("memcached.service", "memcached", Of(11211), Line("/etc/memcached.conf", "-l broken.invalid")),
            d("named.service", "bind9", Of(53), Line("/etc/bind/named.conf.options", "broken {")),
            d("redis-server.service", "redis-server", Of(6379), Line("/etc/redis/redis.conf", "broken")),
            d("rsyslog.service", "rsyslog", NO_PORT, Fault::None("a line that it does not understand is left out")),
            d("squid.service", "squid", Of(3128), Line("/etc/squid/squid.conf", "acl broken")),
            d("ssh.service", "openssh-server", Of(22), Line("/etc/ssh/sshd_config", "Broken")),
            d("varnish.service", "varnish", Of(6081), Line("/etc/varnish/default.vcl", "broken {")),
        ],
    },
    Placement {
        name: "queue",
        // It may set no clock here, and need not.
        setup: "mkdir -p /etc/systemd/system/chrony.service.d\n\
                printf '[Unit]\\nConditionCapability=\\n' > /etc/systemd/system/chrony.service.d/lab.conf\n\
                echo 'DAEMON_OPTS=\"-F 0 -x\"' > /etc/default/chrony\n\
                touch /var/log/auth.log\n",
        beside: &["varnish.service"],
        daemons: &[
            d(
                "beanstalkd.service",
                "beanstalkd",
                Of(11300),
                Line("/etc/default/beanstalkd", "BEANSTALKD_LISTEN_ADDR=broken"),
            ),
            d(
                "chrony.service",
                "chrony",
                Port::None("it goes on without its port"),
                Line("/etc/chrony/chrony.conf", "broken"),
            ),
            d("fail2ban.service", "fail2ban", NO_PORT, Line("/etc/fail2ban/jail.d/defaults-debian.conf", "[broken")),
            d("lighttpd.service", "lighttpd", Of(80), Line("/etc/lighttpd/lighttpd.conf", "broken")),
            d("mosquitto.service", "mosquitto", Of(1883), Line("/etc/mosquitto/mosquitto.conf", "broken")),
            d("php8.2-fpm.service", "php8.2-fpm", NO_PORT, Line("/etc/php/8.2/fpm/pool.d/www.conf", "broken")),
            d(
                "prometheus-node-exporter.service",
                "prometheus-node-exporter",
                Of(9100),
                Line("/etc/default/prometheus-node-exporter", "ARGS=--broken"),
            ),
            d("rabbitmq-server.service", "rabbitmq-server", Of(5672), Line("/etc/rabbitmq/rabbitmq.conf", "broken")),
            d("unbound.service", "unbound", Of(53), Line("/etc/unbound/unbound.conf", "broken")),
            d("varnishncsa.service", "varnish", NO_PORT, Fault::None("it has no configuration")),
            d("vsftpd.service", "vsftpd", Of(21), Line("/etc/vsftpd.conf", "broken")),
        ],
    },
    Placement {
        name: "database",
        setup: "echo 'ARGS=--cluster.listen-address=' >> /etc/default/prometheus-alertmanager\n\
                printf 'listen-address=127.0.0.1\\nbind-interfaces\\n' > /etc/dnsmasq.d/lab.conf\n\
                cp /etc/postfix/master.cf.proto /etc/postfix/master.cf\n\
                printf 'compatibility_level = 3.6\\ninet_interfaces = loopback-only\\n' > /etc/postfix/main.cf\n",
        beside: &["postfix.service", "postgresql.service"],
        daemons: &[
            d("dnsmasq.service", "dnsmasq", Of(53), Line("/etc/dnsmasq.conf", "broken")),
            d("etcd.service", "etcd-server", Of(2379), Line("/etc/default/etcd", "ETCD_LISTEN_CLIENT_URLS=broken")),
            d("influxdb.service", "influxdb", Of(8086), Line("/etc/influxdb/influxdb.conf", "[broken")),
            d("nats-server.service", "nats-server", Of(4222), Line("/etc/nats-server.conf", "broken {")),
            d("nginx.service", "nginx", Of(80), Line("/etc/nginx/nginx.conf", "broken")),
            d("pgbouncer.service", "pgbouncer", GOES_ON, Line("/etc/pgbouncer/pgbouncer.ini", "[pgbouncer")),
            d("postfix@-.service", "postfix", Of(25), Line("/etc/postfix/master.cf", "broken")),
            d(
                "postgresql@15-main.service",
                "postgresql-15",
                Of(5432),
                Line("/etc/postgresql/15/main/postgresql.conf", "broken"),
            ),
            d(
                "prometheus-alertmanager.service",
                "prometheus-alertmanager",
                Of(9093),
                Line("/etc/prometheus/alertmanager.yml", "broken:"),
            ),
            d("prometheus.service", "prometheus", Of(9090), Line("/etc/prometheus/prometheus.yml", "broken:")),
            d("slapd.service", "slapd", Of(389), Line("/etc/default/slapd", "SLAPD_CONF=/broken")),
        ],
    },
    Placement {
        name: "office",
        setup: "printf 'frontend lab\\n    bind 127.0.0.1:8000\\n    http-request return status 200\\n' \
                >> /etc/haproxy/haproxy.cfg\n\
                sed -i 's/^#    listen:.*/    listen: [ 127.0.0.1@53 ]/' /etc/knot/knot.conf\n",
        beside: &[],
        daemons: &[
            d(
                "avahi-daemon.service",
                "avahi-daemon",
                Port::None("several may listen on 5353"),
                Line("/etc/avahi/avahi-daemon.conf", "[broken"),
            ),
            d(
                "cups.service",
                "cups-daemon",
                Port::None("systemd holds its port"),
                Line("/etc/cups/cups-files.conf", "User broken"),
            ),
            d("haproxy.service", "haproxy", Of(8000), Line("/etc/haproxy/haproxy.cfg", "broken")),
            d("knot.service", "knot", Of(53), Line("/etc/knot/knot.conf", "broken")),
            d("smbd.service", "samba", GOES_ON, Line("/etc/samba/smb.conf", "[broken")),
            d("snmpd.service", "snmpd", Of(161), Fault::None("a line that it does not understand is left out")),
            d("supervisor.service", "supervisor", NO_PORT, Line("/etc/supervisor/supervisord.conf", "[broken")),
            d("tomcat10.service", "tomcat10", Of(8080), Line("/etc/default/tomcat10", "JAVA_OPTS=--broken")),
            d("tor@default.service", "tor", Of(9050), Line("/etc/tor/torrc", "Broken 1")),
            d(
                "transmission-daemon.service",
                "transmission-daemon",
                GOES_ON,
                Fault::None("it starts with its defaults when it cannot read its own"),
            ),
        ],
    },
];

/// Where something else is right than for most, and why.
pub(crate) const EXCEPTIONS: &[Exception] = &[
    Exception {
        unit: "avahi-daemon.service",
        deed: Deed::Stopped,
        right: Right::NotDone,
        reason: "its clients on the bus have it started again while it is being stopped",
    },
    // Of the unit that systemd makes of an init script it knows no main process, and `KillMode=process` leaves all others
    // alone, be they stopped or somebody's sessions: which of them may be killed, only a person knows.
    Exception {
        unit: "slapd.service",
        deed: Deed::Hung,
        right: Right::ToldAndBack,
        reason: "its init script cannot end what is stopped, and its KillMode= keeps anybody else from it",
    },
];

/// What is right for a daemon that suffers a deed, and the reason where it is an exception.
pub(crate) fn right(daemon: &Daemon, deed: Deed) -> (Right, Option<&'static str>) {
    let is_meant = |exception: &&Exception| exception.unit == daemon.unit && exception.deed == deed;
    if let Some(exception) = EXCEPTIONS.iter().find(is_meant) {
        return (exception.right, Some(exception.reason));
    }
    match (deed, daemon.port, daemon.fault) {
        (Deed::Robbed, Port::None(reason), _) | (Deed::Misconfigured, _, Fault::None(reason)) => {
            (Right::NotDone, Some(reason))
        }
        _ => (deed.right(), None),
    }
}

/// That the table is as many as were promised, and each exception one of a daemon of it.
pub(crate) fn check() -> Result<()> {
    let daemons: Vec<&Daemon> = PLACEMENTS.iter().flat_map(|placement| placement.daemons).collect();
    ensure!(daemons.len() >= 40, "only {} daemons", daemons.len());
    for exception in EXCEPTIONS {
        ensure!(daemons.iter().any(|daemon| daemon.unit == exception.unit), "nobody is {}", exception.unit);
        ensure!(exception.right != exception.deed.right(), "{} is no exception", exception.unit);
    }
    Ok(())
}
