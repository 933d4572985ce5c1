//! The options of `openred relay`. Their meaning and defaults are in [`crate::config::relay::RelayConfig`].

use clap::Args;

/// Every option of `openred relay`, as written.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RelayOptions {
    /// Address of the one TCP port that carries the page, the API and WebSocket peers; port 0 takes a free one
    /// [default: 127.0.0.1:8080]
    #[arg(long, env = "OPENRED_HTTP", value_name = "IP:PORT", hide_env = true)]
    pub(crate) http: Option<String>,

    /// Address of the Prometheus metrics (at /metrics); port 0 takes a free one [default: 127.0.0.1:9464]
    #[arg(long, env = "OPENRED_METRICS", value_name = "IP:PORT", hide_env = true)]
    pub(crate) metrics: Option<String>,

    /// Listen here too, may be repeated [default: QUIC on the UDP port of the number of --http, WebRTC-direct on the
    /// next]
    #[arg(long, env = "OPENRED_LISTEN", value_name = "MULTIADDR", hide_env = true)]
    pub(crate) listen: Vec<String>,

    /// Answer STUN on this UDP address, so that pages behind NAT learn their own; port 0 takes a free one, `off` answers none
    /// [default: the address of --http with port 3478, or with a free one if that is taken or --http has port 0]
    #[arg(long, env = "OPENRED_STUN", value_name = "IP:PORT|off", hide_env = true)]
    pub(crate) stun: Option<String>,

    /// Tell others this address, a multiaddr or a URL such as `https://relay.example.org`, may be repeated [default: what
    /// --http and --listen stand for]
    #[arg(long, env = "OPENRED_ANNOUNCE", value_name = "MULTIADDR", hide_env = true)]
    pub(crate) announce: Vec<String>,

    /// Another relay to join the network through, may be repeated [default: none, the relay is the first of its network]
    #[arg(long, env = "OPENRED_BOOTSTRAP", value_name = "URL|MULTIADDR|HOST:PORT", hide_env = true)]
    pub(crate) bootstrap: Vec<String>,

    /// A list of such relays, one a line with its region in front, for everybody with `*` or nothing there; a file, or a URL
    /// that is fetched while connections lack; may be repeated [default: none]
    #[arg(long, env = "OPENRED_BOOTSTRAP_LIST", value_name = "FILE|URL", hide_env = true)]
    pub(crate) bootstrap_list: Vec<String>,

    /// Directory that keeps the identity, the WebRTC certificate and what was learned of the network; one process at a time [default:
    /// $XDG_DATA_HOME/openred, or ~/.local/share/openred]
    #[arg(long, env = "OPENRED_DATA", value_name = "DIR", hide_env = true)]
    pub(crate) data: Option<String>,

    /// Name of the network: 1 to 32 of a-z, 0-9 and - [default: main]
    #[arg(long, env = "OPENRED_NETWORK", value_name = "NAME", hide_env = true)]
    pub(crate) network: Option<String>,

    /// Region this relay serves, as shown to others, for example eu or us-east [default: global]
    #[arg(long, env = "OPENRED_REGION", value_name = "NAME", hide_env = true)]
    pub(crate) region: Option<String>,

    /// TOML file with these options by their names without dashes in front (http = "0.0.0.0:8080"); a flag or an
    /// environment variable wins over it [default: none]
    #[arg(long, env = "OPENRED_CONFIG", value_name = "FILE", hide_env = true)]
    pub(crate) config: Option<String>,

    /// How many nodes may be reachable through this relay at a time [default: 1024]
    #[arg(long, env = "OPENRED_MAX_RESERVATIONS", value_name = "N", hide_env = true)]
    pub(crate) max_reservations: Option<String>,

    /// Bytes one circuit may carry, both directions together, 0 for no limit [default: 1073741824, an hour of video]
    #[arg(long, env = "OPENRED_CIRCUIT_BYTES", value_name = "N", hide_env = true)]
    pub(crate) circuit_bytes: Option<String>,

    /// Seconds one circuit may last, 0 for no limit [default: 14400, four hours]
    #[arg(long, env = "OPENRED_CIRCUIT_SECONDS", value_name = "N", hide_env = true)]
    pub(crate) circuit_seconds: Option<String>,

    /// Bytes per second of all traffic with peers, in and out together, 0 for no limit [default: 0]
    #[arg(long, env = "OPENRED_MAX_BANDWIDTH", value_name = "BYTES/S", hide_env = true)]
    pub(crate) max_bandwidth: Option<String>,

    /// Reverse proxy whose X-Forwarded-For or Forwarded header is believed, may be repeated [default: none]
    #[arg(long, env = "OPENRED_TRUSTED_PROXY", value_name = "CIDR", hide_env = true)]
    pub(crate) trusted_proxy: Vec<String>,

    /// Database of the directory: `sqlite` keeps it in --data, `postgres://USER:PASSWORD@HOST/NAME` lets several relays share
    /// one [default: sqlite]
    #[arg(long, env = "OPENRED_DATABASE", value_name = "URL", hide_env = true)]
    pub(crate) database: Option<String>,

    /// How long the directory waits for a node that falls silent, state by state, may be repeated: heartbeat, active,
    /// pending-first-check, failed-first-check, retry-48-hours, retry-2-weeks, retry-2-months, coma, draining, grace; times
    /// with a unit up to d [default: heartbeat=30s, active=90s, pending-first-check=5m, failed-first-check=1h,
    /// retry-48-hours=2d, retry-2-weeks=14d, retry-2-months=60d, coma=730d, draining=1h, grace=90s]
    #[arg(long, env = "OPENRED_LIFECYCLE", value_name = "STATE=TIME", hide_env = true)]
    pub(crate) lifecycle: Vec<String>,

    /// File with the token that opens the admin routes of the API, 16 to 512 visible ASCII characters; the variable
    /// OPENRED_ADMIN_TOKEN may hold the token itself [default: none, the admin routes are closed]
    #[arg(long, env = "OPENRED_ADMIN_TOKEN_FILE", value_name = "FILE", hide_env = true)]
    pub(crate) admin_token_file: Option<String>,

    /// Requests to the API per second of one address (IPv6: one /64) and of one node; searches, writes and handshakes count
    /// several times; 0 for no limit [default: 100]
    #[arg(long, env = "OPENRED_RATE_LIMIT", value_name = "N", hide_env = true)]
    pub(crate) rate_limit: Option<String>,

    /// Requests to the API that may be under way at a time; further ones are told to come back [default: 256]
    #[arg(long, env = "OPENRED_MAX_REQUESTS", value_name = "N", hide_env = true)]
    pub(crate) max_requests: Option<String>,

    /// Connections to --http that have not become peers, at a time [default: 512]
    #[arg(long, env = "OPENRED_MAX_CONNECTIONS", value_name = "N", hide_env = true)]
    pub(crate) max_connections: Option<String>,

    /// How the log on standard error is written: text, or json with one object per line [default: text]
    #[arg(long, env = "OPENRED_LOG_FORMAT", value_name = "text|json", hide_env = true)]
    pub(crate) log_format: Option<String>,

    /// Send traces to the OpenTelemetry collector at this URL, by OTLP over HTTP with JSON [default: none]
    #[arg(long, env = "OPENRED_OTLP", value_name = "URL", hide_env = true)]
    pub(crate) otlp: Option<String>,
}
