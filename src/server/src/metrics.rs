//! What is counted, for Prometheus.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dbmail_core::session::{Admitted, Denied};
use dbmail_core::store::{Refusal, Reply};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::shell::End;

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// IMAP.
    Imap,
    /// LMTP.
    Lmtp,
    /// HTTP.
    Http,
}

impl Protocol {
    /// Word for log and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Lmtp => "lmtp",
            Self::Http => "http",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfProtocol {
    protocol: &'static str,
}
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEnd {
    protocol: &'static str,
    end: &'static str,
}
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTraffic {
    protocol: &'static str,
    direction: &'static str,
}
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCommand {
    protocol: &'static str,
    command: &'static str,
    outcome: &'static str,
}
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    outcome: &'static str,
}
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLogin {
    protocol: &'static str,
    outcome: &'static str,
}
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRequest {
    request: &'static str,
}
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRefusal {
    request: &'static str,
    refusal: &'static str,
}

/// The counters of this process.
pub struct Metrics {
    registry: Registry,
    open: Family<OfProtocol, Gauge>,
    connections: Family<OfProtocol, Counter>,
    ends: Family<OfEnd, Counter>,
    refused: Family<OfProtocol, Counter>,
    traffic: Family<OfTraffic, Counter>,
    commands: Family<OfCommand, Counter>,
    logins: Family<OfLogin, Counter>,
    requests: Family<OfRequest, Histogram>,
    refusals: Family<OfRefusal, Counter>,
    recipients: Family<OfOutcome, Counter>,
    messages: Counter,
    message_bytes: Counter,
    store: Arc<OnceLock<dbmail_store::Store>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// From 100 µs to 13 s.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 18))
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("dbmail"),
            open: Family::default(),
            connections: Family::default(),
            ends: Family::default(),
            refused: Family::default(),
            traffic: Family::default(),
            commands: Family::default(),
            logins: Family::default(),
            requests: Family::new_with_constructor(seconds as fn() -> Histogram),
            refusals: Family::default(),
            recipients: Family::default(),
            messages: Counter::default(),
            message_bytes: Counter::default(),
            store: Arc::new(OnceLock::new()),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register(
            "connections_open",
            "Connections open now",
            self.open.clone(),
        );
        r.register(
            "connections",
            "Connections accepted",
            self.connections.clone(),
        );
        r.register(
            "connections_ended",
            "Connections ended, by reason",
            self.ends.clone(),
        );
        r.register(
            "connections_refused",
            "Connections refused: too many",
            self.refused.clone(),
        );
        r.register(
            "traffic_bytes",
            "Octets of connections that ended",
            self.traffic.clone(),
        );
        r.register(
            "commands",
            "Commands answered, by outcome",
            self.commands.clone(),
        );
        r.register("logins", "Logins, by outcome", self.logins.clone());
        r.register(
            "request_seconds",
            "Time to answer a store request",
            self.requests.clone(),
        );
        r.register(
            "request_refusals",
            "Store requests refused",
            self.refusals.clone(),
        );
        r.register(
            "delivery_recipients",
            "Recipients answered after DATA",
            self.recipients.clone(),
        );
        r.register(
            "delivery_messages",
            "Messages received by LMTP",
            self.messages.clone(),
        );
        r.register(
            "delivery_bytes",
            "Octets of messages received by LMTP",
            self.message_bytes.clone(),
        );
        r.register_collector(Box::new(Process));
        r.register_collector(Box::new(StoreFigures(Arc::clone(&self.store))));
    }

    /// From now on the store's own counters are shown too.
    pub fn show_store(&self, store: dbmail_store::Store) {
        let _ = self.store.set(store);
    }

    /// A connection was accepted; it is open until the value is dropped.
    #[must_use]
    pub fn connection(&self, protocol: Protocol) -> Open {
        let label = OfProtocol {
            protocol: protocol.word(),
        };
        self.connections.get_or_create(&label).inc();
        let gauge = self.open.get_or_create(&label).clone();
        gauge.inc();
        Open(gauge)
    }

    /// A connection ended; octets in and out.
    pub fn connection_ended(&self, protocol: Protocol, end: End, traffic: (u64, u64)) {
        let protocol = protocol.word();
        self.ends
            .get_or_create(&OfEnd {
                protocol,
                end: end.word(),
            })
            .inc();
        for (direction, octets) in [("in", traffic.0), ("out", traffic.1)] {
            self.traffic
                .get_or_create(&OfTraffic {
                    protocol,
                    direction,
                })
                .inc_by(octets);
        }
    }

    /// A connection was one too many.
    pub fn connection_refused(&self, protocol: Protocol) {
        self.refused
            .get_or_create(&OfProtocol {
                protocol: protocol.word(),
            })
            .inc();
    }

    /// A command was answered.
    pub fn command(&self, protocol: Protocol, command: &'static str, outcome: &'static str) {
        let label = OfCommand {
            protocol: protocol.word(),
            command,
            outcome,
        };
        self.commands.get_or_create(&label).inc();
    }

    /// The directory decided.
    pub fn login(&self, protocol: Protocol, result: &Result<Admitted, Denied>) {
        let outcome = match result {
            Ok(_) => "admitted",
            Err(Denied::Credentials) => "denied",
            Err(Denied::Unavailable) => "unavailable",
        };
        self.logins
            .get_or_create(&OfLogin {
                protocol: protocol.word(),
                outcome,
            })
            .inc();
    }

    /// The store answered.
    pub fn request(&self, request: &'static str, time: Duration, reply: &Reply) {
        self.requests
            .get_or_create(&OfRequest { request })
            .observe(time.as_secs_f64());
        if let Err(refusal) = reply {
            let label = OfRefusal {
                request,
                refusal: refusal_word(refusal),
            };
            self.refusals.get_or_create(&label).inc();
        }
    }

    /// A message came by LMTP.
    pub fn delivery(&self, accepted: u32, refused: u32, size: u64) {
        self.messages.inc();
        self.message_bytes.inc_by(size);
        for (outcome, count) in [("accepted", accepted), ("refused", refused)] {
            self.recipients
                .get_or_create(&OfOutcome { outcome })
                .inc_by(count.into());
        }
    }

    /// All of it, in the OpenMetrics text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

/// A connection that is open.
#[derive(Debug)]
pub struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

const fn refusal_word(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NoSuchMailbox => "no such mailbox",
        Refusal::AlreadyExists => "already exists",
        Refusal::HasChildren => "has children",
        Refusal::Inbox => "inbox",
        Refusal::BadName(_) => "bad name",
        Refusal::UseInUse => "use in use",
        Refusal::OverQuota => "over quota",
        Refusal::Limit(_) => "limit",
        Refusal::Upload => "upload",
        Refusal::Damaged(_) => "damaged",
        Refusal::Unavailable => "unavailable",
        Refusal::OutcomeUnknown => "outcome unknown",
    }
}

/// Memory of this process.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(bytes) = resident_bytes() else {
            return Ok(());
        };
        let figure = ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX));
        let encoder = encoder.encode_descriptor(
            "resident_memory_bytes",
            "Resident memory of the process",
            None,
            figure.metric_type(),
        )?;
        figure.encode(encoder)
    }
}

/// Resident memory, where the system tells it.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// One figure of a request.
type Figure = fn(&dbmail_store::RequestCount) -> u64;

/// The store's own counters.
struct StoreFigures(Arc<OnceLock<dbmail_store::Store>>);

impl fmt::Debug for StoreFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreFigures")
    }
}

impl Collector for StoreFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(store) = self.0.get() else {
            return Ok(());
        };
        let counters = store.counters();
        let mut total = |name: &str, help: &str, figure: u64| {
            let figure = ConstCounter::new(figure);
            let kind = figure.metric_type();
            figure.encode(encoder.encode_descriptor(name, help, None, kind)?)
        };
        total("store_commits", "Transactions committed", counters.commits)?;
        total(
            "store_linked",
            "Messages linked by commits",
            counters.linked,
        )?;
        total("store_retries", "Transactions run again", counters.retries)?;
        total(
            "store_asked",
            "Commits with a lost reply that were asked about",
            counters.asked,
        )?;
        total(
            "store_repeats",
            "Deliveries recognised as repeats",
            counters.repeats,
        )?;
        total(
            "store_slow_statements",
            "Statements that took longer than database.slow_milliseconds",
            counters.slow,
        )?;
        total(
            "store_broken_off",
            "Requests that broke off by a fault of the program",
            counters.broken_off,
        )?;
        total("store_opaque", "Messages stored whole", counters.opaque)?;
        total(
            "store_opened_from_memory",
            "Mailboxes opened from what was known of them and the log",
            counters.opened_from_memory,
        )?;
        total(
            "store_flags_from_memory",
            "FETCH and STORE of many messages that took their flags from what was known of the mailbox",
            counters.flags_from_memory,
        )?;
        total(
            "store_opened_from_map",
            "Mailboxes opened from their stored map and the log",
            counters.opened_from_map,
        )?;
        total(
            "store_opened_from_rows",
            "Mailboxes opened by a row for each message",
            counters.opened_from_rows,
        )?;
        total(
            "store_news_told",
            "News rows written for other front-ends",
            counters.news_told,
        )?;
        total(
            "store_news_heard",
            "News rows of other front-ends that were read",
            counters.news_heard,
        )?;
        total(
            "store_news_polls",
            "Looks for news of other front-ends",
            counters.news_polls,
        )?;
        total(
            "store_counter_locks",
            "Statements that locked the counter row of a mailbox",
            counters.counter_locks,
        )?;
        total(
            "store_counter_lock_microseconds",
            "Time of such statements: mostly waiting for others at the same mailbox",
            counters.counter_lock_microseconds,
        )?;
        total(
            "store_purged_messages",
            "Messages purged past their time",
            counters.purged_messages,
        )?;
        total(
            "store_purged_bytes",
            "Octets of messages purged past their time",
            counters.purged_bytes,
        )?;
        total(
            "store_purge_runs",
            "Runs of purging that came to their end",
            counters.purge_runs,
        )?;
        // As Prometheus has it: a gauge with a moment in seconds.
        let last = ConstGauge::new(counters.purge_last / 1_000_000);
        let kind = last.metric_type();
        last.encode(encoder.encode_descriptor(
            "store_purge_last_timestamp_seconds",
            "When the last run of purging came to its end, in seconds since 1970; 0: none did",
            None,
            kind,
        )?)?;
        let lag = ConstGauge::new(counters.news_lag_microseconds);
        let kind = lag.metric_type();
        lag.encode(encoder.encode_descriptor(
            "store_news_lag_microseconds",
            "From the writing of the newest news row heard to its reading, by two clocks",
            None,
            kind,
        )?)?;
        let queued = ConstGauge::new(i64::try_from(counters.queued).unwrap_or(i64::MAX));
        let kind = queued.metric_type();
        queued.encode(encoder.encode_descriptor(
            "store_queued",
            "Write requests that wait now",
            None,
            kind,
        )?)?;
        let counted: [(&str, &str, Figure); 4] = [
            ("store_requests", "Requests answered", |r| r.requests),
            ("store_statements", "Statements of requests", |r| {
                r.statements
            }),
            (
                "store_microseconds",
                "Time of requests, waiting included",
                |r| r.microseconds,
            ),
            ("store_failed", "Requests refused as unavailable", |r| {
                r.failed
            }),
        ];
        for (name, help, figure) in counted {
            let kind = ConstCounter::new(0u64).metric_type();
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for request in &counters.requests {
                let label = OfRequest {
                    request: request.name,
                };
                ConstCounter::new(figure(request)).encode(family.encode_family(&label)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::new();
        let open = metrics.connection(Protocol::Imap);
        metrics.command(Protocol::Imap, "UID FETCH", "OK");
        metrics.delivery(2, 1, 1000);
        metrics.request(
            "resolve",
            Duration::from_millis(3),
            &Err(Refusal::Unavailable),
        );
        metrics.login(Protocol::Imap, &Err(Denied::Credentials));
        metrics.connection_refused(Protocol::Lmtp);
        let text = metrics.text();
        for line in [
            "dbmail_connections_open{protocol=\"imap\"} 1",
            "dbmail_commands_total{protocol=\"imap\",command=\"UID FETCH\",outcome=\"OK\"} 1",
            "dbmail_delivery_recipients_total{outcome=\"accepted\"} 2",
            "dbmail_delivery_bytes_total 1000",
            "dbmail_request_seconds_count{request=\"resolve\"} 1",
            "dbmail_request_refusals_total{request=\"resolve\",refusal=\"unavailable\"} 1",
            "dbmail_logins_total{protocol=\"imap\",outcome=\"denied\"} 1",
            "dbmail_connections_refused_total{protocol=\"lmtp\"} 1",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(text.contains("dbmail_resident_memory_bytes "));
        drop(open);
        assert!(
            metrics
                .text()
                .contains("dbmail_connections_open{protocol=\"imap\"} 0")
        );
    }
}
