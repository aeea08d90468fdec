/** The executables of other Node releases, by major version. */
export declare const nodeVersions: Readonly<Record<'22' | '24', string>>;
