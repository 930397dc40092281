"""The state in MongoDB, for several replicas: deliveries, position, memory, standings, and the leases.

Whatever belongs together is written in one transaction, acknowledged by a majority, in the name of the lease
under which it is done. What is only read is read as a majority has it."""
