package templates

// operatorFile renders operator.go: the guard of the operator pages, which denies everyone.
func operatorFile(in Inputs) ([]byte, error) {
	s := newSource(in, "operator")
	s.decl("RequireOperator", `
func RequireOperator(next $http.Handler) $http.Handler {
	return $http.HandlerFunc(func(w $http.ResponseWriter, r *$http.Request) {
		$http.Error(w, $http.StatusText($http.StatusForbidden), $http.StatusForbidden)
	})
}`)
	return s.bytes()
}
