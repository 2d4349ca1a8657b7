use mirror::{Server, Store};
use updater::Disk;

use crate::args;
use crate::exit::Failure;
use crate::output::{self, Reply};
use crate::signals;

pub(crate) async fn run(arguments: args::Serve) -> Result<Reply, Failure> {
    let cancel =
        signals::cancellation("finishing what is under way; press Ctrl-C again to stop at once")?;
    let store = Store::open(&Disk::real(), &arguments.store)?;
    let server = Server::bind(store, arguments.listen)?;
    output::print(&format!("{}\n", server.base_url()))?;
    server.run(cancel.cancelled_owned()).await?;
    Ok(Reply::text(""))
}
