"""Who can be told apart by addresses, which services are decided alike, and what hosts are called: what questions about
whole policies are answered by."""
