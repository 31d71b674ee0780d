//! Concrete code for the same kernel paths, generic over a machine.
