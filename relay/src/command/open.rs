//! `openred open NAME`: a stream to a service, joined to standard input and output.

use openred_core::{Error, open::Target};

use super::{Session, nobody_offers, pipe};
use crate::{config::short::OpenConfig, failure::Failure};

/// Ends when the provider has finished; the end of standard input is passed on as a half-close.
pub(crate) async fn run(config: OpenConfig) -> Result<(), Failure> {
    let session = Session::join(&config.node).await?;
    let time = session.time_left();
    let stream = match session.node.open(Target::Name(config.target.clone()), time).await {
        Ok(stream) => stream,
        Err(error) => {
            session.leave().await;
            return Err(match error {
                Error::NotFound(_) => {
                    Failure::NothingFound(format!("{} ({})", nobody_offers(&config.target), error.code()))
                }
                error => error.into(),
            });
        }
    };
    let (peer, path) = (stream.remote_peer(), stream.path());
    tracing::info!(%peer, path = path.as_str(), "opened");
    let moved = pipe::join(stream, tokio::io::stdin(), tokio::io::stdout()).await;
    session.leave().await;
    match moved {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::Failed(format!("the stream to {peer} broke: {error} (STREAM_RESET)"))),
    }
}
