package websession

import (
	"net/http"
	"strings"
)

// OtherMethods answers what no pattern of mux takes: with the methods that the path has in Allow (RFC 9110 §15.5.6) by
// refuse, which answers 405, and what has none by next. It is mux's handler of "/", which would hide the difference.
func OtherMethods(mux *http.ServeMux, refuse func(w http.ResponseWriter, allowed string),
	next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		allowed := methodsOf(mux, r)
		if len(allowed) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		refuse(w, strings.Join(allowed, ", "))
	})
}

// methodsOf lists the methods that mux has a pattern for at the path of a request.
func methodsOf(mux *http.ServeMux, r *http.Request) (out []string) {
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := mux.Handler(other); pattern != "" && pattern != "/" {
			out = append(out, method)
		}
	}
	return out
}
