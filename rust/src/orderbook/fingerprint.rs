//! A hash of all offers and pools of a graph, the same however the graph came to hold them.

use sha2::{Digest, Sha256};

use super::graph::Graph;

/// SHA-256 over the offers by id and the pools by id, with everything that a search looks at.
pub fn fingerprint(graph: &Graph) -> [u8; 32] {
    let mut offers: Vec<_> = graph
        .pairs()
        .iter()
        .flat_map(|pair| pair.offers.iter().map(move |offer| (offer, pair)))
        .collect();
    offers.sort_unstable_by_key(|(offer, _)| offer.id);
    let mut hash = Sha256::new();
    let text = |hash: &mut Sha256, text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    hash.update((offers.len() as u64).to_be_bytes());
    for (offer, pair) in offers {
        hash.update(offer.id.to_be_bytes());
        hash.update(offer.n.to_be_bytes());
        hash.update(offer.d.to_be_bytes());
        hash.update(offer.amount.to_be_bytes());
        text(&mut hash, graph.accounts.name(offer.seller));
        text(&mut hash, graph.assets.name(pair.selling));
        text(&mut hash, graph.assets.name(pair.buying));
    }
    let mut pools: Vec<_> = graph.pools().collect();
    pools.sort_unstable();
    for (id, (first, second)) in pools {
        text(&mut hash, id);
        text(&mut hash, graph.assets.name(first));
        text(&mut hash, graph.assets.name(second));
        if let Some(side) = graph.find_pair(second, first).and_then(|pair| pair.pool) {
            hash.update(side.reserve_in.to_be_bytes());
            hash.update(side.reserve_out.to_be_bytes());
            hash.update(side.fee.to_be_bytes());
        }
    }
    hash.finalize().into()
}
