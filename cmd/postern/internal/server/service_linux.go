package server

// noService says why this system is none for service, "" where it is one.
const noService = ""
