package templates

// databaseFile renders database.go, for hosts that have no handle in scope at the router.
func databaseFile(in Inputs) ([]byte, error) {
	s := newSource(in, "database")
	// The application may register the same driver elsewhere: one package registers once.
	s.file.Anon(in.DriverImport)
	s.decl("openDatabase", `
func openDatabase(host Host) (*$sql.DB, error) {
	source := $os.Getenv("LOCKSPIRE_DATABASE_URL")
	if source == "" {
		return nil, $errors.New("LOCKSPIRE_DATABASE_URL is not set: it names the database with the lockspire_* tables")
	}
	return $sql.Open({{printf "%q" .DriverName}}, source)
}`)
	return s.bytes()
}
