# frozen_string_literal: true

# The forge's objects as far as administrators' scripts use them. They speak to
# the daemon on its administration socket.
require 'date'
require 'json'
require 'socket'
require 'time'

# Forge sends one request a connection over a unix socket.
module Forge
  ADMIN = '/run/gitlab/admin.socket'
  WEB = '/var/opt/gitlab/gitlab-rails/sockets/gitlab.socket'

  class Refusal < StandardError; end

  def self.call(method, path, body = nil, socket: ADMIN, headers: {})
    payload = body ? JSON.generate(body) : ''
    lines = ["#{method} #{path} HTTP/1.0", 'Host: localhost', 'Content-Type: application/json', "Content-Length: #{payload.bytesize}"]
    headers.each { |name, value| lines << "#{name}: #{value}" }
    answer = UNIXSocket.open(socket) do |s|
      s.write("#{lines.join("\r\n")}\r\n\r\n#{payload}")
      s.read
    end
    head, _, text = answer.partition("\r\n\r\n")
    json = head.match?(%r{^Content-Type: application/json}i) && !text.empty?
    [head[%r{\AHTTP/\S+ (\d+)}, 1].to_i, json ? JSON.parse(text) : nil]
  rescue SystemCallError => e
    abort("the forge does not answer: #{e.message}")
  end

  # The daemon's answer, nil for what is not there.
  def self.admin(method, path, body = nil)
    status, answer = call(method, path, body)
    return nil if status == 404
    raise Refusal, answer['error'] || answer['message'] unless status == 200

    answer
  end

  def self.version = File.read('/opt/gitlab/embedded/service/gitlab-rails/VERSION').strip
  def self.at_least?(release) = Gem::Version.new(version) >= Gem::Version.new(release)
end

module ActiveRecord
  class RecordInvalid < StandardError; end
  class RecordNotFound < StandardError; end
end

# The parts of Active Support that scripts lean on.
class Object
  def blank? = respond_to?(:empty?) ? !!empty? : !self
  def present? = !blank?
  def presence = present? ? self : nil
  def try(name, *args) = respond_to?(name) ? public_send(name, *args) : nil
end

class NilClass
  def try(*) = nil
end

class Duration
  attr_reader :seconds

  def initialize(seconds) = @seconds = seconds
  def from_now = Time.now + @seconds
  def since(time = Time.now) = time + @seconds
  def ago = Time.now - @seconds
  def to_i = @seconds
end

class Integer
  { second: 1, minute: 60, hour: 3600, day: 86_400, week: 604_800, month: 2_629_746, year: 31_556_952 }.each do |name, length|
    define_method(name) { Duration.new(self * length) }
    define_method(:"#{name}s") { Duration.new(self * length) }
  end
end

class Time
  def self.current = now
  def self.zone = self
  def to_date = Date.new(year, month, day)
end

class Date
  def self.current = today
  def self.tomorrow = today + 1
  alias to_date itself
end

class PersonalAccessToken
  attr_accessor :name, :scopes, :expires_at, :user
  attr_reader :token

  def initialize(name: nil, scopes: [], expires_at: nil, user: nil, **)
    @name, @scopes, @expires_at, @user = name, scopes, expires_at, user
  end

  # As chosen by a script instead of a random one.
  def set_token(text) = @token = text

  def save!
    if expires_at.nil? && Forge.at_least?('16.0')
      raise ActiveRecord::RecordInvalid, "Validation failed: Expires at can't be blank"
    end
    unknown = scopes.map(&:to_sym) - Gitlab::Auth.all_available_scopes
    raise ActiveRecord::RecordInvalid, 'Validation failed: Scopes can only contain available scopes' if unknown.any?

    answer = Forge.admin('POST', '/token', {
      user: user.username, name: name, scopes: scopes.map(&:to_s), expires_at: expires_at&.to_date.to_s, token: @token
    }.compact)
    @token = answer.fetch('token')
    true
  rescue Forge::Refusal => e
    raise ActiveRecord::RecordInvalid, "Validation failed: #{e.message}"
  end

  def save
    save!
  rescue ActiveRecord::RecordInvalid
    false
  end

  def persisted? = !@token.nil?

  def revoke!
    Forge.admin('DELETE', '/token', { token: @token }) or raise ActiveRecord::RecordNotFound, "Couldn't find PersonalAccessToken"
    true
  end

  def self.find_by_token(text)
    status, answer = Forge.call('GET', '/api/v4/personal_access_tokens/self', nil, socket: Forge::WEB, headers: { 'PRIVATE-TOKEN' => text })
    return nil unless status == 200

    found = new(name: answer['name'], scopes: answer['scopes'].map(&:to_sym), expires_at: Date.parse(answer['expires_at']))
    found.set_token(text)
    found
  end

  # The tokens of one user.
  class Of
    def initialize(user) = @user = user
    def build(**args) = PersonalAccessToken.new(**args, user: @user)
    alias new build

    def create!(**args)
      made = build(**args)
      made.save!
      made
    end

    def create(**args)
      made = build(**args)
      made.save
      made
    end
  end
end

# Relation is what a query gives, as far as it is read.
class Relation < Array
  def order(*keys) = Relation.new(sort_by { |row| keys.map { |key| row.public_send(key) } })
  def where(**conditions) = Relation.new(select { |row| conditions.all? { |key, value| Array(value).include?(row.public_send(key)) } })
  def take = first
  def find_each(&) = each(&)
  def exists? = any?
end

class User
  attr_reader :id, :username, :name, :email, :state
  attr_writer :password, :password_confirmation, :admin

  def initialize(row)
    @id, @username, @name, @email, @admin, @state = row.values_at('id', 'username', 'name', 'email', 'is_admin', 'state')
  end

  def admin? = @admin
  alias admin admin?
  def active? = state == 'active'
  def blocked? = state == 'blocked'

  # Abilities of a user as such: the API is closed to those who are not active
  # (app/policies/global_policy.rb).
  def can?(ability, _subject = :global)
    case ability
    when :access_api, :log_in, :access_git then active?
    when :access_admin_area then active? && admin?
    else raise NotImplementedError, "the stand-in knows nothing of the ability #{ability}"
    end
  end

  def personal_access_tokens = PersonalAccessToken::Of.new(self)
  def password_automatically_set=(_); end

  def self.all = Relation.new(Forge.admin('GET', '/users').map { |row| new(row) })
  def self.where(**conditions) = all.where(**conditions)
  def self.find_by(**conditions) = where(**conditions).first

  # Case does not count here, as it does in find_by.
  def self.find_by_username(name)
    row = Forge.admin('GET', "/user/#{name}")
    row && new(row)
  end

  def self.find(id) = find_by(id: id) || raise(ActiveRecord::RecordNotFound, "Couldn't find User with 'id'=#{id}")
  def self.admins = where(admin: true)
  def self.active = where(state: 'active')
  def self.first = all.order(:id).first

  def block! = blocked!(true)
  def activate! = blocked!(false)
  def block = block!
  def activate = activate!

  def blocked!(blocked)
    raise "Cannot transition state from :#{state}" if blocked == blocked?

    Forge.admin('PUT', "/user/#{username}/blocked", { blocked: blocked })
    @state = blocked ? 'blocked' : 'active'
    true
  end
  private :blocked!

  def save!
    raise ActiveRecord::RecordInvalid, "Validation failed: Password confirmation doesn't match Password" if @password_confirmation && @password_confirmation != @password

    Forge.admin('PUT', "/user/#{username}/password", { password: @password }) if @password
    Forge.admin('PUT', "/user/#{username}/admin", { admin: @admin })
    true
  rescue Forge::Refusal
    raise ActiveRecord::RecordInvalid, 'Validation failed: Password is too short (minimum is 8 characters)'
  end

  def save
    save!
  rescue ActiveRecord::RecordInvalid
    false
  end

  def update!(**changes)
    changes.each { |key, value| public_send(:"#{key}=", value) }
    save!
  end
end

# The instance's settings as far as runners need them.
class ApplicationSetting
  def self.current = new
  def self.last = new
  def runners_registration_token = Forge.admin('GET', '/registration-token').fetch('token')
  def allow_runner_registration_token = Forge.admin('GET', '/registration-token').fetch('allowed')

  def update!(allow_runner_registration_token:)
    Forge.admin('PUT', '/registration-token', { allowed: allow_runner_registration_token })
    true
  end
end

module Ci
  module Runners
    class CreateRunnerService
      Result = Struct.new(:payload) do
        def success? = true
        def error? = false
      end
      Made = Struct.new(:id, :token)

      def initialize(user:, params:)
        @user, @params = user, params
      end

      def execute
        made = Forge.admin('POST', '/runner', { runner: {
          runner_type: @params.fetch(:runner_type), description: @params[:description].to_s, tag_list: Array(@params[:tag_list]),
          tagged_only: @params[:run_untagged] == false, locked: @params[:locked] || false, paused: @params[:paused] || false
        } })
        Result.new({ runner: Made.new(made['id'], made['token']) })
      end
    end
  end
end

module Gitlab
  VERSION = Forge.version

  module Auth
    # The release with which each scope came; heptapod-docker 1.6.
    SCOPES = {
      api: '0', read_user: '0', read_api: '12.10', read_repository: '0', write_repository: '0', read_registry: '0',
      write_registry: '12.10', sudo: '0', create_runner: '15.10', admin_mode: '15.8', read_service_ping: '16.8',
      ai_features: '16.1', k8s_proxy: '16.4', manage_runner: '17.1', self_rotate: '17.9'
    }.freeze

    def self.all_available_scopes = SCOPES.select { |_, since| Forge.at_least?(since) }.keys
  end

  module CurrentSettings
    def self.current_application_settings = ApplicationSetting.current
    def self.runners_registration_token = ApplicationSetting.current.runners_registration_token
  end

  module Database
    module BackgroundMigration
      class BatchedMigration
        def self.queued = []
        def self.active = []
      end
    end
  end

  module BackgroundMigration
    def self.remaining = 0
  end
end

module Rails
  def self.env = 'production'
  def self.root = '/opt/gitlab/embedded/service/gitlab-rails'
end
