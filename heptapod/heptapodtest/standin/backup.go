package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// backupOrder is what gitlab-backup asks the first process for.
type backupOrder struct {
	Name string   `json:"name"` // create: the part before _gitlab_backup.tar, "" for the usual one; restore: the same
	Skip []string `json:"skip"`
}

type backupResult struct {
	File string `json:"file"`
}

const (
	backupSuffix = "_gitlab_backup.tar"
	backupInfo   = "backup_information.yml"
)

// offline does work while the forge's objects are closed, so that it finds
// them in one piece on the disk. Requests get 502 meanwhile.
func (d *daemon) offline(ctx context.Context, work func() error) (err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	served := !d.services.down("puma")
	if _, err := d.services.do(ctx, "puma", "stop"); err != nil {
		return err
	}
	if err := d.forge.close(); err != nil {
		return err
	}
	worked := work()
	keys, err := loadSecrets(secretsFile)
	if err != nil {
		return errors.Join(worked, err)
	}
	spec := d.forge.spec
	if spec.keysLost, err = keysLost(keys); err != nil {
		return errors.Join(worked, err)
	}
	if _, err := d.forge.open(ctx, spec, seed{}); err != nil {
		return errors.Join(worked, err)
	}
	if served {
		_, err = d.services.do(ctx, "puma", "start")
	}
	return errors.Join(worked, err)
}

func (d *daemon) backupDir() string {
	if dir := d.settings.text("gitlab_rails", "backup_path"); dir != "" {
		return dir
	}
	return dataDir + "/backups"
}

// createBackup packs what the forge keeps. /etc/gitlab is not in it.
// heptapod-docker 7.1.
func (d *daemon) createBackup(ctx context.Context, o backupOrder) (backupResult, error) {
	dir, now := d.backupDir(), time.Now()
	if o.Name == "" {
		o.Name = fmt.Sprintf("%d_%s_%s", now.Unix(), now.Format("2006_01_02"), gitlab())
	}
	file := filepath.Join(dir, filepath.Base(o.Name)+backupSuffix)
	err := os.MkdirAll(dir, 0o700)
	if err != nil {
		return backupResult{}, fmt.Errorf("make backup directory: %w", err)
	}
	info := filepath.Join(dataDir, backupInfo)
	if err := os.WriteFile(info, []byte(":gitlab_version: "+gitlab()+"\n"), 0o600); err != nil {
		return backupResult{}, fmt.Errorf("describe backup: %w", err)
	}
	defer os.Remove(info)
	args := []string{"--create", "--file=" + file, "--directory=" + dataDir, backupInfo}
	if !slices.Contains(o.Skip, "db") && !slices.Contains(o.Skip, "repositories") {
		args = append(args, "gitlab-rails/forge")
	}
	if _, err := os.Stat(blobDir); err == nil && !slices.Contains(o.Skip, "registry") {
		args = append(args, "gitlab-rails/shared/registry")
	}
	err = d.offline(ctx, func() error { return tar(ctx, args...) })
	if err != nil {
		return backupResult{}, err
	}
	if err := errors.Join(os.Chmod(file, 0o600), os.Chown(file, gitUID, gitUID)); err != nil {
		return backupResult{}, fmt.Errorf("protect backup: %w", err)
	}
	return backupResult{file}, d.forgetBackups(dir)
}

// forgetBackups removes backups older than backup_keep_time, 0 keeps them.
func (d *daemon) forgetBackups(dir string) error {
	keep := time.Duration(d.settings.number(0, "gitlab_rails", "backup_keep_time")) * time.Second
	files, err := filepath.Glob(dir + "/*" + backupSuffix)
	if err != nil || keep == 0 {
		return err
	}
	var errs []error
	for _, f := range files {
		if i, err := os.Stat(f); err == nil && time.Since(i.ModTime()) > keep {
			errs = append(errs, os.Remove(f))
		}
	}
	return errors.Join(errs...)
}

// restoreBackup puts a backup of the same version in place of what there is.
// heptapod-docker 7.2.
func (d *daemon) restoreBackup(ctx context.Context, o backupOrder) (backupResult, error) {
	file := filepath.Join(d.backupDir(), filepath.Base(o.Name)+backupSuffix)
	if _, err := os.Stat(file); err != nil {
		return backupResult{}, fmt.Errorf("The backup file %s does not exist!", file)
	}
	out, err := exec.CommandContext(ctx, "tar", "--extract", "--to-stdout", "--file="+file, backupInfo).Output()
	if err != nil {
		return backupResult{}, fmt.Errorf("read %s in %s: %w", backupInfo, file, err)
	}
	_, version, _ := strings.Cut(strings.TrimSpace(string(out)), ":gitlab_version: ")
	if version != gitlab() {
		return backupResult{}, fmt.Errorf("GitLab version mismatch:\n  Your current GitLab version (%s) differs from the GitLab version in the backup!\n"+
			"  Please switch to the following version and try again:\n  version: %s", gitlab(), version)
	}
	return backupResult{file}, d.offline(ctx, func() error {
		if err := os.RemoveAll(forgeDir); err != nil {
			return fmt.Errorf("make room for the backup: %w", err)
		}
		return tar(ctx, "--extract", "--same-owner", "--same-permissions", "--file="+file, "--directory="+dataDir, "--exclude="+backupInfo)
	})
}

func tar(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "tar", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("run tar: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// backup is gitlab-backup: create or restore, with KEY=value settings.
func backup(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: gitlab-backup create|restore [BACKUP=name] [SKIP=part,...] [STRATEGY=copy] [CRON=1]")
	}
	set := map[string]string{"BACKUP": os.Getenv("BACKUP"), "SKIP": os.Getenv("SKIP"), "GITLAB_ASSUME_YES": os.Getenv("GITLAB_ASSUME_YES")}
	for _, a := range args[1:] {
		if key, value, ok := strings.Cut(a, "="); ok {
			set[key] = value
		}
	}
	order := backupOrder{Name: set["BACKUP"], Skip: strings.Split(set["SKIP"], ",")}
	say := func(text string) {
		if set["CRON"] == "" {
			fmt.Printf("%s -- %s\n", time.Now().UTC().Format("2006-01-02 15:04:05 UTC"), text)
		}
	}
	var done backupResult
	switch args[0] {
	case "create":
		say("Dumping database ...")
		if err := ask(ctx, "POST", "/backup", order, &done); err != nil {
			return err
		}
		say("Creating backup archive: " + filepath.Base(done.File) + " ... done")
		fmt.Println("Warning: Your gitlab.rb and gitlab-secrets.json files contain sensitive data \n" +
			"and are not included in this backup. You will need these files to restore a backup.\nPlease back them up manually.")
		say("Backup " + strings.TrimSuffix(filepath.Base(done.File), backupSuffix) + " is done.")
		return nil
	case "restore":
		if order.Name == "" {
			return errors.New("name the backup: BACKUP=<timestamp of backup>")
		}
		if set["GITLAB_ASSUME_YES"] != "1" && set["force"] != "yes" {
			fmt.Print("Be sure to stop Puma, Sidekiq, and any other process that\nconnects to the database before proceeding.\nDo you want to continue (yes/no)? ")
			text, err := bufio.NewReader(os.Stdin).ReadString('\n')
			if err != nil || strings.TrimSpace(text) != "yes" {
				return errors.New("Quitting...")
			}
		}
		if err := ask(ctx, "POST", "/restore", order, &done); err != nil {
			return err
		}
		say("Restore task is done.")
		return nil
	}
	return fmt.Errorf("unknown task %q: want create or restore", args[0])
}
