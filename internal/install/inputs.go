package install

import (
	"cmp"
	"context"
	"go/constant"
	"go/types"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/templates"
)

// Inputs decides what a first run would record, for a host whose manifest is lost. What the host says wins over defaults:
// the package is the one with a generated file, and whether the call is ours to insert is whether it is there. It writes
// nothing and asks nobody.
func Inputs(ctx context.Context, o Options) (templates.Inputs, error) {
	o, err := o.normalise()
	if err != nil {
		return templates.Inputs{}, err
	}
	repo, err := hostrepo.Load(ctx, hostrepo.Options{Dir: o.Dir, Tags: o.Tags, Env: o.Env, Command: "lockspire upgrade --repair-manifest"})
	if err != nil {
		return templates.Inputs{}, err
	}
	j := &job{Options: o, repo: repo}
	for _, m := range repo.Mounts {
		if j.Package == "" && len(m.Package) > len(repo.ModulePath) {
			j.Package = m.Package[len(repo.ModulePath)+1:]
		}
	}
	for _, p := range repo.Packages {
		if rel := p.PkgPath[min(len(p.PkgPath), len(repo.ModulePath)+1):]; j.Package == "" && rel != "" {
			if there := repo.PackageAt(rel); there != nil && there.Ours {
				j.Package = rel
			}
		}
	}
	if j.MountPath == "" && j.Package != "" {
		j.MountPath = mountPath(repo, j.Package)
	}
	refusals := j.decide(ctx)
	return j.in, refusals.Err()
}

// mountPath reads the constant of a generated package.
func mountPath(repo *hostrepo.Repo, dir string) string {
	pkg := repo.Types(repo.ModulePath + "/" + dir)
	if pkg == nil {
		return ""
	}
	c, ok := pkg.Scope().Lookup("MountPath").(*types.Const)
	if !ok || c.Val().Kind() != constant.String {
		return ""
	}
	return cmp.Or(constant.StringVal(c.Val()), "/") // it is what stands before a path
}
