// Volume makes or removes the folder of a volume: `volume -p FOLDER -s BYTES -m MODE -a create|delete`.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	folder := flag.String("p", "", "the volume's folder")
	action := flag.String("a", "", "create or delete")
	flag.String("s", "", "the size that was asked for, which a folder does not limit")
	flag.String("m", "", "the kind of volume")
	flag.Parse()
	if err := do(*action, *folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func do(action, folder string) error {
	if !filepath.IsAbs(folder) || filepath.Dir(folder) == folder {
		return fmt.Errorf("the volume's folder is %q; an absolute path below another folder is wanted", folder)
	}
	switch action {
	case "create":
		if err := os.MkdirAll(folder, 0o777); err != nil {
			return err
		}
		// The mask of this process must not decide who may write: the pods' users are not known here.
		return os.Chmod(folder, 0o777)
	case "delete":
		return os.RemoveAll(folder)
	}
	return fmt.Errorf("the action is %q; create or delete is wanted", action)
}
