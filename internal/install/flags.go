package install

import (
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

const (
	defaultPackage   = "internal/authserver"
	defaultMountPath = "/lockspire"
)

// normalise checks what can be checked without looking at the host. Every flag at fault is named.
func (o Options) normalise() (Options, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	var refusals plan.Refusals
	usage := func(what, next string) { refusals = append(refusals, &plan.Refusal{Exit: 2, What: what, Next: next}) }

	if o.Issuer != "" {
		issuer, err := checkIssuer(o.Issuer)
		if err != nil {
			usage("--issuer "+err.Error(), "lockspire install --issuer https://app.example"+defaultMountPath)
		} else if issuer.Path != "" && o.MountPath == "" {
			o.MountPath = issuer.Path
		} else if issuer.Path == "" && o.MountPath == "" {
			usage(wordIssuerWithoutPath(o.Issuer), "lockspire install --issuer "+o.Issuer+defaultMountPath)
		}
	}
	if o.MountPath != "" {
		mount, err := templates.NormalMountPath(o.MountPath)
		if err != nil {
			usage(err.Error(), "lockspire install --mount-path "+defaultMountPath)
		}
		o.MountPath = mount
	}
	if o.Package != "" {
		o.Package = path.Clean(filepath.ToSlash(o.Package))
		if !templates.Below(o.Package) || o.Package == "." || !packageName(path.Base(o.Package)) {
			usage(wordBadPackage(o.Package), "lockspire install --package "+defaultPackage)
		}
	}
	if o.MigrationsDir != "" {
		o.MigrationsDir = path.Clean(filepath.ToSlash(o.MigrationsDir))
		if !templates.Below(o.MigrationsDir) {
			usage(wordBadDir(o.MigrationsDir), "lockspire install --migrations-dir db/migrations")
		}
	}
	oneOf := func(flag, value string, allowed ...string) {
		if value != "" && !slices.Contains(allowed, value) {
			usage("--"+flag+" "+value+" is not one of "+strings.Join(allowed, ", "), "lockspire install --"+flag+" "+allowed[0])
		}
	}
	oneOf("engine", o.Engine, templates.EngineSQLite, templates.EnginePG)
	oneOf("migrations", o.Migrations, templates.MigrationModes...)
	oneOf("database", o.Database, databaseHost, databaseSeparate)
	if o.Schema != "" && !templates.SchemaName(o.Schema) {
		usage(wordBadSchema(o.Schema), "lockspire install --schema auth")
	}
	if o.SchemaExists && o.Schema == "" {
		usage(wordSchemaExistsAlone, "lockspire install --schema auth --schema-exists")
	}
	if o.MigrationsTable != "" && !templates.TableName(o.MigrationsTable) {
		usage("--migrations-table "+o.MigrationsTable+" is not a table name that needs no quotes", "lockspire install --migrations-table schema_migrations")
	}
	if o.LoginPath != "" && !templates.LocalPath(o.LoginPath) {
		usage("--login-path "+o.LoginPath+" is not a path on this origin", "lockspire install --login-path /login")
	}
	if o.HeaderFile != "" {
		if err := o.readHeader(); err != nil {
			usage("--header-file "+o.HeaderFile+": "+err.Error(), "lockspire install --header-file LICENSE-HEADER.txt")
		}
	}
	if o.RuntimeVersion != "" && !semver.IsValid(o.RuntimeVersion) {
		usage("--runtime-version "+o.RuntimeVersion+" is not a version", "lockspire install --runtime-version v0.1.0")
	}
	return o, refusals.Err()
}

// readHeader reads the header, relative to where the command runs.
func (o *Options) readHeader() error {
	content, err := os.ReadFile(o.HeaderFile)
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			return path.Err
		}
		return err
	}
	o.header, err = templates.HeaderText(content)
	return err
}

// checkIssuer holds an issuer to RFC 8414 §2 and to what clients compare byte for byte.
func checkIssuer(issuer string) (*url.URL, error) {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return nil, errors.New(issuer + " is not an absolute URL")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(issuer, "#"):
		return nil, errors.New(issuer + " may have no query and no fragment (RFC 8414)")
	case u.User != nil:
		return nil, errors.New(issuer + " may have no user name")
	case u.Host != strings.ToLower(u.Host):
		return nil, errors.New(issuer + " must have its host in lower case")
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return nil, errors.New(issuer + " must not spell out the default port")
	case strings.HasSuffix(u.Path, "/"):
		return nil, errors.New(issuer + " must not end in a slash: clients compare it byte for byte")
	case u.Scheme == "http" && u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback():
		return nil, errors.New(issuer + " must be https: http is for loopback addresses")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New(issuer + " must be https")
	}
	return u, nil
}

// packageName reports whether a directory's name can be that of a package, by Go's convention too.
func packageName(name string) bool {
	if name == "" || name == "main" || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == "" && !strings.HasSuffix(name, "_test") && !keyword(name)
}

// moduleRoot finds the nearest go.mod, so that an interrupted run can be dealt with before anything is loaded. A
// directory without one is left to hostrepo, which explains workspaces.
func moduleRoot(dir string) (string, error) {
	if root := hostrepo.FindRoot(dir); root != "" {
		return root, nil
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", &plan.Refusal{Exit: 3, What: "the current directory is gone", Next: "cd into the module"}
	}
	return abs, nil
}
