//! A hyper server that answers every request with one body: what is left of a registry when all
//! that makes it one is taken away, and so the limit for a registry on hyper.
//!
//! Arguments are pairs of an address and a file; each address answers with its file. One thread.

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// As fake-registry has it.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bare-server: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut listening = tokio::task::JoinSet::new();
        let mut arguments = arguments.into_iter();
        while let Some(address) = arguments.next() {
            let file = arguments.next().ok_or("each address needs a file")?;
            let body = Bytes::from(std::fs::read(file)?);
            let listener = TcpListener::bind(address.parse::<SocketAddr>()?).await?;
            listening.spawn(serve(listener, body));
        }
        while listening.join_next().await.is_some() {}
        Ok(())
    })
}

async fn serve(listener: TcpListener, body: Bytes) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let body = body.clone();
        let answer = service_fn(move |_: Request<Incoming>| {
            let mut answer = Response::new(Full::new(body.clone()));
            let kind = HeaderValue::from_static("application/octet-stream");
            answer.headers_mut().insert(CONTENT_TYPE, kind);
            async { Ok::<_, std::convert::Infallible>(answer) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}
