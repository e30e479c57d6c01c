# frozen_string_literal: true

# Evaluates the forge's settings as the image does: the image's own defaults,
# then GITLAB_OMNIBUS_CONFIG, then /etc/gitlab/gitlab.rb, so that the file has
# the last word. Writes them as JSON to the file that the first argument names.
require 'json'
require 'socket'

# Settings of a section. Symbols and strings are one key; a section that is not
# there comes into being when it is read.
class ConfigMash < Hash
  def initialize(from = nil)
    super() { |hash, key| hash.key?(key.to_s) ? hash.fetch(key.to_s) : (hash[key.to_s] = ConfigMash.new) }
    from&.each { |key, value| self[key] = value }
  end

  def [](key) = super(key.to_s)

  def []=(key, value)
    super(key.to_s, value.is_a?(Hash) && !value.is_a?(ConfigMash) ? ConfigMash.new(value) : value)
  end

  def key?(key) = super(key.to_s)
  def fetch(key, *rest) = super(key.to_s, *rest)
  def dig(key, *rest) = super(key.to_s, *rest)
  def to_json(*args) = {}.merge(self).to_json(*args)
end

# What may stand at the start of a line in gitlab.rb.
module Omnibus
  SECTIONS = %w[
    actioncable alertmanager bootstrap consul crond git_data_dirs gitaly gitlab_ci gitlab_exporter gitlab_kas gitlab_pages
    gitlab_rails gitlab_shell gitlab_sshd gitlab_workhorse gitlab_ctl geo_logcursor geo_postgresql geo_secondary
    heptapod hgitaly hgserve high_availability letsencrypt logging logrotate manage_accounts manage_storage_directories
    mattermost mattermost_nginx mailroom mysql nginx node_exporter omnibus_gitconfig package pages_nginx patroni
    pgbouncer pgbouncer_exporter postgres_exporter postgresql praefect prometheus prometheus_monitoring puma redis
    redis_exporter registry registry_nginx remote_syslog repmgr repmgrd rhgitaly sentinel sidekiq spamcheck
    storage_check suggested_reviewers unicorn user web_server gitlab_kas_nginx gitlab_backup zoekt
  ].freeze
  SCALARS = %w[
    external_url registry_external_url pages_external_url mattermost_external_url gitlab_kas_external_url
    runtime_dir git_data_dir edition roles
  ].freeze

  class << self
    def settings = @settings ||= {}

    def from_file(path)
      instance_eval(File.read(path, encoding: 'UTF-8'), path, 1)
    end

    def node = { 'hostname' => Socket.gethostname, 'fqdn' => Socket.gethostname }

    def respond_to_missing?(name, _private = false) = SECTIONS.include?(name.to_s) || SCALARS.include?(name.to_s) || super

    def method_missing(name, *args)
      key = name.to_s
      if SCALARS.include?(key)
        settings[key] = args.first unless args.empty?
        settings[key]
      elsif SECTIONS.include?(key)
        settings[key] = args.first.is_a?(Hash) ? ConfigMash.new(args.first) : args.first unless args.empty?
        settings[key] ||= ConfigMash.new
      elsif args.empty?
        puts "\n *ERROR*: Encountered unsupported config key '#{key}' in /etc/gitlab/gitlab.rb."
        nil
      else
        super
      end
    end
  end
end

def fail_compile(error)
  line = error.backtrace&.grep(%r{/etc/gitlab/gitlab\.rb|GITLAB_OMNIBUS_CONFIG})&.first
  bar = '=' * 80
  puts '', bar, 'Recipe Compile Error in /opt/gitlab/embedded/cookbooks/cache/cookbooks/gitlab/recipes/default.rb', bar, ''
  puts error.class.name, '-' * error.class.name.length, error.message.lines.first, ''
  puts 'Cookbook Trace:', '-' * 15, "  #{line}", '' if line
  puts 'Running handlers:', 'Running handlers complete', 'Infra Phase failed. 0 resources updated'
  warn 'There was an error running gitlab-ctl reconfigure:', '', error.message
  exit 1
end

begin
  Omnibus.instance_eval do
    external_url "http://#{Socket.gethostname}"
    manage_accounts['enable'] = false
    node_exporter['enable'] = false
    package['detect_init'] = false
    package['modify_kernel_parameters'] = false
    postgresql['shared_buffers'] = '256MB'
  end
  Omnibus.instance_eval(ENV['GITLAB_OMNIBUS_CONFIG'].to_s, 'GITLAB_OMNIBUS_CONFIG', 1)
  Omnibus.from_file('/etc/gitlab/gitlab.rb') if File.exist?('/etc/gitlab/gitlab.rb')
rescue StandardError, SyntaxError, LoadError => e
  fail_compile(e)
end

File.open(ARGV.fetch(0), 'w', 0o600) { |f| f.write(JSON.generate(Omnibus.settings)) }
