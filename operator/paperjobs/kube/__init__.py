"""The real cluster: custom objects, Jobs and Pods behind the engine's `Cluster` port, and who of the replicas acts."""
