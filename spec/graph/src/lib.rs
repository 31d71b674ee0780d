//! A dependency graph and its cycles, whatever its nodes are and wherever they come from.
//!
//! A node is something that can be waited for. An edge `a -> b` says: the context that has to bring `a`
//! about may first wait for `b`. Each edge carries its *witnesses*, whatever the feeder has to
//! show for it: program lines here, events where a recorded run is the source. If every wait that
//! can happen is on an edge and there is no cycle, no context waits for itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A directed graph whose edges carry witnesses. Everything it lists is in the order of its nodes,
/// so equal graphs print alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph<N, W> {
    edges: BTreeMap<N, BTreeMap<N, BTreeSet<W>>>,
}

impl<N, W> Default for Graph<N, W> {
    fn default() -> Self {
        Graph {
            edges: BTreeMap::new(),
        }
    }
}

impl<N: Clone + Ord, W: Ord> Graph<N, W> {
    /// Adds an edge, or another witness to one that is there.
    pub fn add(&mut self, from: N, to: N, witness: W) {
        let targets = self.edges.entry(from).or_default();
        targets.entry(to).or_default().insert(witness);
    }

    /// Is there an edge?
    pub fn has(&self, from: &N, to: &N) -> bool {
        self.edges.get(from).is_some_and(|t| t.contains_key(to))
    }

    /// The edge's witnesses, in their order; none if there is no such edge.
    pub fn witnesses(&self, from: &N, to: &N) -> impl Iterator<Item = &W> {
        let found = self.edges.get(from).and_then(|t| t.get(to));
        found.into_iter().flatten()
    }

    /// Every edge.
    pub fn edges(&self) -> impl Iterator<Item = (&N, &N)> {
        let listed = self.edges.iter();
        listed.flat_map(|(from, targets)| targets.keys().map(move |to| (from, to)))
    }

    /// Through every edge that lies on a cycle a shortest such cycle, each once, short ones first.
    /// Empty exactly when the graph has no cycle. A cycle is the list of its nodes, from its
    /// smallest on; its last node has an edge to its first.
    ///
    /// Not every cycle is listed: there can be exponentially many. Every edge of an unlisted one
    /// is on a listed one.
    pub fn cycles(&self) -> Vec<Vec<N>> {
        let through = self.edges().filter_map(|(from, to)| {
            let mut nodes = self.path(to, from)?;
            let least = (0..nodes.len()).min_by_key(|&i| &nodes[i])?;
            nodes.rotate_left(least);
            Some(nodes)
        });
        let mut cycles: Vec<Vec<N>> = through.collect();
        cycles.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
        cycles.dedup();
        cycles
    }

    /// The nodes of a shortest path, both ends included; one node if the ends are one.
    fn path(&self, from: &N, to: &N) -> Option<Vec<N>> {
        let mut before: BTreeMap<&N, Option<&N>> = BTreeMap::from([(from, None)]);
        let mut queue = VecDeque::from([from]);
        while let Some(node) = queue.pop_front() {
            if node == to {
                let chain = std::iter::successors(Some(node), |n| before[*n]);
                let mut nodes: Vec<N> = chain.cloned().collect();
                nodes.reverse();
                return Some(nodes);
            }
            for next in self.edges.get(node).into_iter().flat_map(|t| t.keys()) {
                if !before.contains_key(next) {
                    before.insert(next, Some(node));
                    queue.push_back(next);
                }
            }
        }
        None
    }
}

/// The edges of a cycle as [`Graph::cycles`] lists it.
pub fn edges_of<N: Clone>(cycle: &[N]) -> impl Iterator<Item = (N, N)> {
    let next = cycle.iter().cycle().skip(1);
    cycle.iter().cloned().zip(next.cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn graph(edges: &[(u8, u8)]) -> Graph<u8, ()> {
        let mut graph = Graph::default();
        for &(from, to) in edges {
            graph.add(from, to, ());
        }
        graph
    }

    #[test]
    fn a_self_edge_is_a_cycle_of_one() {
        assert_eq!(graph(&[(1, 1)]).cycles(), [[1]]);
        assert_eq!(edges_of(&[1]).collect::<Vec<_>>(), [(1, 1)]);
    }

    #[test]
    fn a_diamond_has_no_cycle() {
        // 1 -> 2 -> 4 and 1 -> 3 -> 4: two ways, none back.
        let none: [Vec<u8>; 0] = [];
        assert_eq!(graph(&[(1, 2), (1, 3), (2, 4), (3, 4)]).cycles(), none);
    }

    #[test]
    fn every_edge_on_a_cycle_has_its_shortest() {
        // 1 -> 2 -> 3 -> 1 with the short cut 2 -> 1; 3 -> 4 leads nowhere.
        // Edge 1-2: back by 2-1. Edges 2-3 and 3-1: only the long way round. Edge 3-4: none.
        let cycles = graph(&[(1, 2), (2, 3), (3, 1), (2, 1), (3, 4)]).cycles();
        assert_eq!(cycles, [vec![1, 2], vec![1, 2, 3]]);
    }

    #[test]
    fn an_edge_keeps_all_its_witnesses() {
        let mut graph = Graph::default();
        for witness in ["b", "a", "b"] {
            graph.add(1, 2, witness);
        }
        assert_eq!(graph.witnesses(&1, &2).collect::<Vec<_>>(), [&"a", &"b"]);
        assert_eq!(graph.witnesses(&2, &1).count(), 0);
        assert!(graph.has(&1, &2) && !graph.has(&2, &1));
    }

    proptest! {
        /// Against a second opinion: without a cycle, nodes with no edge in can be taken away one
        /// after the other until none is left (Kahn).
        #[test]
        fn cycles_are_found_exactly_where_a_topological_order_is_not(
            edges in proptest::collection::vec((0_u8..7, 0_u8..7), 0..14)
        ) {
            let graph = graph(&edges);
            let mut left: BTreeSet<u8> = (0..7).collect();
            while let Some(free) = left.iter().copied().find(|n| {
                !edges.iter().any(|(from, to)| to == n && left.contains(from))
            }) {
                left.remove(&free);
            }
            let cycles = graph.cycles();
            prop_assert_eq!(cycles.is_empty(), left.is_empty());
            for cycle in &cycles {
                for (from, to) in edges_of(cycle) {
                    prop_assert!(graph.has(&from, &to), "{:?}", cycle);
                }
            }
        }
    }
}
