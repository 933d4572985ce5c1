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
}
