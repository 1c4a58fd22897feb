package main

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/printer"
	"go/types"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/tools/go/ast/astutil"
	"golang.org/x/tools/go/packages"
)

// desugar writes out what Go 1.27 lets a struct literal leave out: the embedded
// structs whose fields are named. T{Name: n} becomes T{Base: Base{Name: n}},
// which means the same. It tells how many literals it changed in each file.
func desugar(ctx context.Context, module string, report io.Writer) error {
	// A package is understood only once those below it can be compiled.
	for range 10 {
		changed, err := desugarOnce(ctx, module, report)
		if err != nil || changed == 0 {
			return err
		}
	}
	return fmt.Errorf("%w: literals are still to be written out after ten rounds", errSource)
}

func desugarOnce(ctx context.Context, module string, report io.Writer) (changed int, err error) {
	list, err := packages.Load(&packages.Config{
		Context: ctx, Dir: module, Env: append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off"),
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports | packages.NeedDeps,
	}, suiteModule+"/...")
	if err != nil {
		return 0, err
	}
	for _, p := range list {
		for i, f := range p.Syntax {
			n := 0
			imports := map[string]string{}
			for _, s := range f.Imports {
				if s.Name != nil {
					imports[strings.Trim(s.Path.Value, `"`)] = s.Name.Name
				}
			}
			add := map[string]string{}
			name := func(o *types.Package) string {
				if o == p.Types {
					return ""
				}
				if n, ok := imports[o.Path()]; ok {
					return n
				}
				for _, s := range f.Imports {
					if strings.Trim(s.Path.Value, `"`) == o.Path() {
						return o.Name()
					}
				}
				alias := "lowered" + strings.ReplaceAll(o.Path()[strings.LastIndex(o.Path(), "/")+1:], "-", "")
				add[alias] = o.Path()
				return alias
			}
			ast.Inspect(f, func(node ast.Node) bool {
				if lit, ok := node.(*ast.CompositeLit); ok && writeOut(lit, p.TypesInfo.TypeOf(lit), name) {
					n++
				}
				return true
			})
			if n == 0 {
				continue
			}
			for alias, path := range add {
				astutil.AddNamedImport(p.Fset, f, alias, path)
			}
			var b bytes.Buffer
			if err := printer.Fprint(&b, p.Fset, f); err != nil {
				return changed, err
			}
			if err := os.WriteFile(p.CompiledGoFiles[i], b.Bytes(), 0o644); err != nil {
				return changed, err
			}
			changed += n
			fmt.Fprintf(report, "%s: %d struct literals written out\n", p.CompiledGoFiles[i][strings.Index(p.CompiledGoFiles[i], "/source/")+len("/source/"):], n)
		}
	}
	return changed, nil
}

// writeOut changes a literal that names promoted fields.
func writeOut(lit *ast.CompositeLit, t types.Type, name types.Qualifier) bool {
	if t == nil {
		return false
	}
	if ptr, ok := t.Underlying().(*types.Pointer); ok {
		t = ptr.Elem() // &T is left out within lists of pointers
	}
	st, ok := t.Underlying().(*types.Struct)
	if !ok {
		return false
	}
	inner := map[string]*ast.CompositeLit{}
	var order []string
	var own []ast.Expr
	for _, e := range lit.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			return false
		}
		key, ok := kv.Key.(*ast.Ident)
		if !ok {
			return false
		}
		field := through(st, key.Name)
		if field == nil {
			own = append(own, e)
			continue
		}
		if inner[field.Name()] == nil {
			x, err := typeExpression(field.Type(), name)
			if err != nil {
				return false
			}
			inner[field.Name()] = &ast.CompositeLit{Type: x}
			order = append(order, field.Name())
		}
		inner[field.Name()].Elts = append(inner[field.Name()].Elts, kv)
	}
	if len(order) == 0 {
		return false
	}
	slices.Sort(order)
	var wrapped []ast.Expr
	for _, f := range order {
		wrapped = append(wrapped, &ast.KeyValueExpr{Key: ast.NewIdent(f), Value: inner[f]})
	}
	lit.Elts = append(wrapped, own...)
	return true
}

// through is the embedded struct by which a name is promoted; nil for a field of
// the struct itself, or for none at all.
func through(st *types.Struct, name string) *types.Var {
	for f := range st.Fields() {
		if f.Name() == name {
			return nil
		}
	}
	obj, index, _ := types.LookupFieldOrMethod(types.NewPointer(st), true, nil, name)
	if v, ok := obj.(*types.Var); !ok || !v.IsField() || len(index) < 2 {
		return nil
	}
	return st.Field(index[0])
}

func typeExpression(t types.Type, name types.Qualifier) (ast.Expr, error) {
	n, ok := types.Unalias(t).(*types.Named)
	if !ok {
		return nil, fmt.Errorf("%w: %s is embedded", errSource, t)
	}
	id := ast.NewIdent(n.Obj().Name())
	if q := name(n.Obj().Pkg()); q != "" {
		return &ast.SelectorExpr{X: ast.NewIdent(q), Sel: id}, nil
	}
	return id, nil
}
