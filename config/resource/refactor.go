package resource

// Move says that what is recorded at From is wanted at To from now on: moved { from, to }.
type Move struct{ From, To Addr }

// Removal says what becomes of what the files no longer have: removed { from, cascade }.
type Removal struct {
	From Addr
	// Cascade false leaves a vm running, and all that the object is on its host, no longer managed.
	Cascade bool
}

// Import says that To is on its host already: import { to, id }.
type Import struct {
	To Addr
	// ID is what the host calls it; of a volume "pool/file".
	ID string
}
