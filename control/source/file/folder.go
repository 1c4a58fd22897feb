package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// maxFile is the largest file that is read, in bytes.
const maxFile = 32 << 20

var errTooBig = errors.New("the file is larger than 32 MiB")

// Folder reads a folder again and again and tells the differences.
type Folder struct {
	root  string
	files map[string]*state // by slash-separated path from root
	sent  map[objectKey]Object
	told  map[string][]mesh.Problem
}

type objectKey struct {
	kind world.Kind
	ref  mesh.Ref
}

// state is what is known of one file.
type state struct {
	content []byte
	read    bool // content was read at least once
	objects []Object
	// good says that objects come from a reading without an error.
	good     bool
	problems []mesh.Problem
}

// OpenFolder makes a reader; nothing is read yet.
func OpenFolder(root string) *Folder {
	return &Folder{root: root, files: map[string]*state{}, sent: map[objectKey]Object{}, told: map[string][]mesh.Problem{}}
}

// Read reads the folder once and returns everything in it as events, for
// world.Build. The error means that the folder itself cannot be read; what is
// wrong inside it comes as problems.
func Read(root string) ([]world.Event, error) {
	f := OpenFolder(root)
	events, err := f.Scan()
	return events, err
}

// Scan reads the folder and returns what has changed since the last time. When
// the folder cannot be listed, nothing changes but for a problem, and the
// error is returned as well.
func (f *Folder) Scan() ([]world.Event, error) {
	names, _, err := f.list()
	if err != nil {
		return f.problems(map[string][]mesh.Problem{"": {unreadable("", err)}}, true), err
	}
	seen := map[string]bool{}
	for _, name := range names {
		seen[name] = true
		f.load(name)
	}
	for name := range f.files {
		if !seen[name] {
			delete(f.files, name)
		}
	}
	objects, problems := f.join()
	var events []world.Event
	for key, o := range objects {
		if old, ok := f.sent[key]; !ok || old.Origin != o.Origin || old.Place.Layout != o.Place.Layout || !reflect.DeepEqual(old.Obj, o.Obj) {
			events = append(events, world.PutAt(o.Obj, o.Origin, o.Place))
		}
	}
	for key := range f.sent {
		if _, ok := objects[key]; !ok {
			events = append(events, world.Delete(key.kind, key.ref))
		}
	}
	f.sent = objects
	return append(events, f.problems(problems, false)...), nil
}

// list returns the files, sorted, and the folders to watch.
func (f *Folder) list() (names, folders []string, err error) {
	entries, err := os.ReadDir(f.root)
	if err != nil {
		return nil, nil, err
	}
	folders = []string{f.root}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		full := filepath.Join(f.root, name)
		// Stat follows links, as a mounted ConfigMap has them.
		info, err := os.Stat(full)
		if err != nil {
			continue // gone since, or a link to nowhere
		}
		if !info.IsDir() {
			if wanted(name) {
				names = append(names, name)
			}
			continue
		}
		folders = append(folders, full)
		inner, err := os.ReadDir(full)
		if err != nil {
			// Its files count as unreadable, not as gone.
			for known := range f.files {
				if path.Dir(known) == name {
					names = append(names, known)
				}
			}
			continue
		}
		for _, e := range inner {
			if info, err := os.Stat(filepath.Join(full, e.Name())); err == nil && !info.IsDir() && wanted(e.Name()) {
				names = append(names, name+"/"+e.Name())
			}
		}
	}
	sort.Strings(names)
	return names, folders, nil
}

// wanted says whether a file is read; hidden ones are what editors and
// careful writers make on the way.
func wanted(name string) bool {
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json":
		return !strings.HasPrefix(name, ".")
	}
	return false
}

// load reads one file if it has changed.
func (f *Folder) load(name string) {
	s := f.files[name]
	if s == nil {
		s = &state{}
		f.files[name] = s
	}
	content, err := readFile(filepath.Join(f.root, filepath.FromSlash(name)))
	if err != nil {
		s.problems = []mesh.Problem{unreadable(name, err)}
		s.read = false // once it can be read again, what it says is news
		return
	}
	if s.read && bytes.Equal(content, s.content) {
		return
	}
	s.content, s.read = content, true
	objects, problems, good := Decode(name, content)
	if good && len(objects) == 0 && len(s.objects) > 0 && len(bytes.TrimSpace(content)) == 0 {
		// A writer empties a file before it fills it; an empty file says
		// nothing yet.
		good = false
		problems = append(problems, problem.New(problem.Malformed, mesh.Origin{File: name, Line: 1}, "", "the file is empty; its last good state stays in effect", "delete the file to remove its objects"))
	}
	s.problems = problems
	if good || !s.good {
		if good || len(objects) > 0 || len(s.objects) == 0 {
			s.objects = objects
		}
		s.good = good
	}
}

func readFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = errTooBig
	}
	return content, err
}

func unreadable(name string, err error) mesh.Problem {
	if name == "" {
		name = "."
	}
	return problem.New(problem.Unreadable, mesh.Origin{File: name}, "", err.Error()+"; what it last said stays in effect", "make it readable")
}

// join puts the files together; of an object that is defined twice the first,
// by file name and position, counts.
func (f *Folder) join() (map[objectKey]Object, map[string][]mesh.Problem) {
	names := make([]string, 0, len(f.files))
	for name := range f.files {
		names = append(names, name)
	}
	sort.Strings(names)
	objects, problems := map[objectKey]Object{}, map[string][]mesh.Problem{}
	for _, name := range names {
		s := f.files[name]
		problems[name] = slices.Clone(s.problems)
		for _, o := range s.objects {
			key := objectKey{o.Kind, o.Ref()}
			if first, taken := objects[key]; taken {
				problems[name] = append(problems[name], problem.New(problem.DuplicateObject, o.Origin, "metadata.name",
					fmt.Sprintf("the object is defined in %s:%d already, which is in effect", first.Origin.File, first.Origin.Line), "remove one of the two"))
				continue
			}
			objects[key] = o
		}
	}
	return objects, problems
}

// problems makes events of the problems that have changed; with keep, files
// that are not mentioned keep theirs.
func (f *Folder) problems(now map[string][]mesh.Problem, keep bool) []world.Event {
	var events []world.Event
	for file, list := range now {
		if !slices.Equal(f.told[file], list) {
			events = append(events, world.Problems(Name, file, list))
			f.told[file] = list
		}
	}
	if keep {
		return events
	}
	for file := range f.told {
		if _, ok := now[file]; !ok {
			events = append(events, world.Problems(Name, file, nil))
			delete(f.told, file)
		}
	}
	return events
}
