package http

// PublicThrough is Public with a proxy of the test.
var PublicThrough = publicThrough
