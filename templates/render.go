package templates

import (
	"bytes"
	"io/fs"
	"net/url"
	"path"
	"sort"
)

// Render returns the files of the generated package and .lockspire/.gitignore, sorted by path: everything that install
// writes but the migrations, the manifest with its base copies, and the inserted call. Invalid inputs are an error that names every field at fault.
func Render(in Inputs) ([]File, error) {
	if err := in.Validate(); err != nil {
		return nil, err
	}
	var files []File
	for _, f := range goFiles {
		if f.only != "" && f.only != in.Database {
			continue
		}
		content, err := f.render(in)
		if err != nil {
			return nil, err
		}
		files = append(files, File{
			Path: path.Join(in.Package, f.name), Owner: f.owner, Template: f.template, Why: f.why, Content: content,
		})
	}
	pages, err := renderPages(in)
	if err != nil {
		return nil, err
	}
	files = append(files, pages...)
	files = append(files, File{
		Path: ".lockspire/.gitignore", Owner: Managed, Template: "gitignore", Why: "keeps journals and the development secret out of git",
		Content: []byte("/txn/\n/undo/\n/conflicts/\n/lock\n/dev-secret*\n"),
	})
	for i := range files {
		files[i].Content = in.withHeader(files[i].Path, files[i].Content)
	}
	sort.Slice(files, func(i, j int) bool { return files[i].Path < files[j].Path })
	return files, nil
}

// goFiles are the templates of Go files. A template's name is for ever: manifests refer to it.
var goFiles = []struct {
	name, template string
	owner          Owner
	only           string // database kind, "" for all
	render         func(Inputs) ([]byte, error)
	why            string
}{
	{"account_resolver.go", "account_resolver", Host, "", accountResolverFile, "account resolver: reads your session"},
	{"authserver_test.go", "authserver_test", Host, "", hostTestFile, "test database and your handler, for the tests below"},
	{"config.go", "config", Host, "", configFile, "issuer, secrets, scopes, login path"},
	{"database.go", "database", Host, DatabaseOwn, databaseFile, "opens a pool: no handle is in scope at the router"},
	{"lockspire_gen.go", "lockspire_gen", Managed, "", mountFile, "Mount: every route, in your router's terms"},
	{"lockspire_gen_export_test.go", "lockspire_gen_export_test", Managed, "", exportFile, "what the tests reach of the package"},
	{"lockspire_gen_test.go", "lockspire_gen_test", Managed, "", smokeFile, "smoke test of the whole flow"},
	{"operator.go", "operator", Host, "", operatorFile, "operator guard: denies everyone"},
	{"pages.go", "pages", Host, "", pagesFile, "renders the pages below"},
}

var pageWhy = map[string]string{
	"apps.html":    "applications that a user has allowed",
	"consent.html": "consent page",
	"error.html":   "error page",
	"layout.html":  "style of the pages",
}

func renderPages(in Inputs) ([]File, error) {
	entries, err := fs.ReadDir(pageFiles, "pages")
	if err != nil {
		return nil, err
	}
	var files []File
	for _, entry := range entries {
		name := path.Join("pages", entry.Name())
		content, err := pageFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files = append(files, File{
			Path: path.Join(in.Package, name), Owner: Host, Template: name, Why: pageWhy[entry.Name()],
			Content: bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n")),
		})
	}
	return files, nil
}

// issuerPath is the path of an issuer, "" at the root.
func issuerPath(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	return u.Path
}
