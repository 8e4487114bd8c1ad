package api

// longestPath is how many bytes the path of a socket may have.
const longestPath = 107
