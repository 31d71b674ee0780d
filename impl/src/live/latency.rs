//! How long flushes take, counted in buckets: four per doubling, from 4 ns.

/// How many buckets.
pub const LATENCY_BUCKETS: usize = 160;

/// The bucket of a time in nanoseconds.
pub fn bucket_of(nanos: u64) -> usize {
    let n = nanos.max(4);
    let exponent = 63 - n.leading_zeros() as usize;
    let quarter = (n >> (exponent - 2)) as usize & 3;
    ((exponent - 2) * 4 + quarter).min(LATENCY_BUCKETS - 1)
}

/// The lower edge of a bucket, in nanoseconds.
pub fn bucket_floor(bucket: usize) -> u64 {
    (4 + (bucket as u64 & 3)) << (bucket / 4)
}

/// p50, p90, p99 and p99.9 of what was counted, in nanoseconds (lower edges of buckets, so within 25 %). `None` if
/// nothing was.
pub fn percentiles(buckets: &[u64; LATENCY_BUCKETS]) -> Option<[u64; 4]> {
    let total: u64 = buckets.iter().sum();
    let at = |per_mille: u64| {
        let rank = (total * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        let reached = |n: &u64| {
            seen += n;
            seen >= rank
        };
        bucket_floor(buckets.iter().position(reached).unwrap_or(0))
    };
    (total > 0).then(|| [500, 900, 990, 999].map(at))
}
